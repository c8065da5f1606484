import Coordinator
import Engine
import FakeModel
import Sampling
import TestSupport
import Testing

/// Refinement of a picture so large that it is decoded, enlarged and encoded in tiles.
@Suite(.serialized) struct RefineClusterTests {
    private func makeSampler() throws -> Sampler {
        let folder = try #require(Fixtures.networks.first).checkpoint
        let scheduler = try Scheduler(
            .ddim,
            config: try SchedulerConfig(file: "\(folder)/scheduler/scheduler_config.json"),
            steps: 2
        )
        let ladder = try Ladder(scales: [1, 15.9, 16])
        let plan = try RenderPlan(
            RenderSettings(
                size: Extent(height: 1048, width: 1064),
                steps: 2,
                scheduler: .ddim
            ) {
                ($0.stride, $0.windowWeight) = (.every(8), .gaussian)
                ($0.ladder, $0.globalPass) = (.given(ladder), .workers)
                $0.refinement = RefineSettings(steps: 1)
            },
            model: geometry,
            scheduler: scheduler
        )
        return Sampler(plan: plan, scheduler: scheduler, prompts: prompts())
    }

    private func refined(on renderer: any UnitRenderer) throws -> [Float] {
        var noise = SeededNoise(seed: 4, kind: .torch)
        return try RenderLoop(sampler: try makeSampler(), renderer: renderer) { _ in }
            .sample(noise: &noise).values
    }

    @Test func pictureIsEnlargedInTiles() throws {
        let plan = try makeSampler().plan
        let last = try #require(plan.enlargements[2])
        #expect(last.decode.tiles.count > 1 && last.encode.tiles.count > 1)
        #expect(plan.scratchBytes == 1048 * 1064 * 3 * 4)
    }

    @Test func theSameLatentFromAnyWorkers() throws {
        let expected = try refined(on: LocalRenderer(Evaluator(FakeNetworks())))
        for workers in 1...3 {
            let local = try ThreadCluster()
            defer { local.stop() }
            for i in 0..<workers { try local.add(i == 1 ? .slow(2) : .good) }
            let job = local.cluster.open(geometry)
            defer { job.end() }
            #expect(try refined(on: job) == expected, "\(workers) workers")
        }
    }

    @Test func theSameLatentThroughARelay() throws {
        let expected = try refined(on: LocalRenderer(Evaluator(FakeNetworks())))
        let local = try ThreadCluster()
        let relay = try ThreadRelay(local.cluster)
        defer { local.stop() }
        for endpoint in [relay.relay.endpoint, relay.relay.endpoint, local.cluster.endpoint] {
            try local.add(at: endpoint)
        }
        #expect(eventually { local.cluster.statistics.count { $0.isActive } == 3 })
        let job = local.cluster.open(geometry)
        defer { job.end() }
        #expect(try refined(on: job) == expected)
        _ = try relay.stop()
    }
}
