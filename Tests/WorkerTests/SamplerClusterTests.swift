import Coordinator
import Engine
import FakeModel
import Sampling
import TestSupport
import Testing

/// DemoFusion with every sampler on a cluster.
@Suite(.serialized) struct SamplerClusterTests {
    private func makeSampler(
        _ kind: SchedulerKind
    ) throws -> Sampler {
        let folder = try #require(Fixtures.networks.first).checkpoint
        let scheduler = try Scheduler(
            kind,
            config: try SchedulerConfig(file: "\(folder)/scheduler/scheduler_config.json"),
            steps: 4
        )
        let plan = try RenderPlan(
            RenderSettings(
                size: Extent(height: 128, width: 160),
                steps: 4,
                scheduler: kind
            ) { $0.globalPass = .workers },
            model: geometry,
            scheduler: scheduler
        )
        return Sampler(plan: plan, scheduler: scheduler, prompts: prompts())
    }

    private func rendered(_ sampler: Sampler, on renderer: any UnitRenderer) throws -> [Float] {
        var noise = SeededNoise(seed: 4, kind: .torch)
        var views = 0
        let latent = try RenderLoop(sampler: sampler, renderer: renderer) { event in
            if case .view = event { views += 1 }
        }.sample(noise: &noise)
        #expect(views == sampler.plan.views)
        return latent.values
    }

    @Test(arguments: SchedulerKind.allCases)
    func theSameLatentFromOneAndTwoWorkers(_ kind: SchedulerKind) throws {
        let sampler = try makeSampler(kind)
        // Second evaluations are planned as separate steps.
        let evaluations =
            switch kind {
            case .heun, .dpm2, .dpm2Ancestral, .dpmSDE: 7
            case .pndm: 5
            default: 4
            }
        #expect(sampler.plan.phases.allSatisfy { $0.steps.count == evaluations })
        let expected = try rendered(sampler, on: LocalRenderer(Evaluator(FakeNetworks())))
        let isFinite = expected.allSatisfy { $0.isFinite }
        #expect(isFinite)
        for workers in 1...2 {
            let local = try ThreadCluster()
            defer { local.stop() }
            for _ in 0..<workers { try local.add(.good) }
            let job = local.cluster.open(geometry)
            defer { job.end() }
            #expect(try rendered(sampler, on: job) == expected, "\(workers) workers")
        }
    }
}
