import Coordinator
import Engine
import FakeModel
import Protocol
import Sampling
import Synchronization
import TestSupport
import Testing

/// Workers that would otherwise wait for the end of a step begin the next one.
@Suite(.serialized) struct EarlyClusterTests {
    private func makeSampler(
        steps: Int = 6,
        _ change: (inout RenderSettings) -> Void = { _ in }
    ) throws -> Sampler {
        let folder = try #require(Fixtures.networks.first).checkpoint
        let scheduler = try Scheduler(
            .ddim,
            config: try SchedulerConfig(file: "\(folder)/scheduler/scheduler_config.json"),
            steps: steps
        )
        var settings = RenderSettings(
            size: Extent(height: 256, width: 256),
            steps: steps,
            scheduler: .ddim
        ) { ($0.globalPass, $0.ladder) = (.workers, .cheapest) }
        change(&settings)
        let plan = try RenderPlan(settings, model: geometry, scheduler: scheduler)
        return Sampler(plan: plan, scheduler: scheduler, prompts: prompts())
    }

    private func render(
        _ sampler: Sampler,
        on renderer: any UnitRenderer,
        observe: @escaping (RenderEvent) throws -> Void = { _ in }
    ) throws -> [Float] {
        var noise = SeededNoise(seed: 4, kind: .torch)
        return try RenderLoop(sampler: sampler, renderer: renderer, observe: observe)
            .sample(noise: &noise).values
    }

    private func expected(_ sampler: Sampler) throws -> [Float] {
        try render(sampler, on: LocalRenderer(Evaluator(FakeNetworks())))
    }

    /// Counts what workers begin ahead of the render's current step.
    private final class Begun: Sendable {
        /// The step of the last phase that is being computed; −1: none.
        let step = Atomic(-1)
        let timesteps: [Float]
        let early = Atomic(0)

        init(_ timesteps: [Float]) { self.timesteps = timesteps }

        func note(_ timestep: Float) {
            let step = step.load(ordering: .sequentiallyConsistent)
            guard step >= 0, let begun = timesteps.firstIndex(of: timestep), begun > step else {
                return
            }
            early.add(1, ordering: .relaxed)
        }
    }

    private func renderWatched(
        _ sampler: Sampler,
        _ timesteps: [Float],
        workers: [FakeNetworks.Behaviour]
    ) throws -> (latent: [Float], early: Int) {
        let begun = Begun(timesteps)
        let local = try ThreadCluster()
        defer { local.stop() }
        for behaviour in workers { try local.add(behaviour).watch(begun.note) }
        let job = local.cluster.open(geometry)
        defer { job.end() }
        let last = sampler.plan.phases.count - 1
        var phase = 0
        let latent = try render(sampler, on: job) { event in
            switch event {
            case .phase(let number, _): phase = number
            case .step(let step, _):
                begun.step.store(phase == last ? step : -1, ordering: .sequentiallyConsistent)
            // Between the last prediction of a step and the next step, all views belong to the next.
            case .predicted: begun.step.store(-1, ordering: .sequentiallyConsistent)
            default: break
            }
        }
        return (latent, begun.early.load(ordering: .relaxed))
    }

    @Test func aStepBeginsBeforeTheOneBeforeHasEnded() throws {
        let sampler = try makeSampler()
        let (latent, early) = try renderWatched(
            sampler,
            sampler.scheduler.timesteps,
            workers: [.slow(2), .slow(12)]
        )
        #expect(try latent == expected(sampler))
        #expect(early > 0)
    }

    @Test func refinementToo() throws {
        let ladder = try Ladder(scales: [1, 4])
        let sampler = try makeSampler(steps: 20) {
            ($0.method, $0.ladder) = (.refine, .given(ladder))
            $0.refinement = RefineSettings(steps: 3)
        }
        let stage = try #require(sampler.plan.phases.last?.refinement)
        let (latent, early) = try renderWatched(
            sampler,
            (0..<stage.count).map(stage.timestep(at:)),
            workers: [.slow(2), .slow(12)]
        )
        #expect(try latent == expected(sampler))
        #expect(early > 0)
    }

    @Test func workersThatLeaveTakeNothingAlong() throws {
        let sampler = try makeSampler()
        let local = try ThreadCluster { $0.policy.depths = 2...4 }
        defer { local.stop() }
        for behaviour in [FakeNetworks.Behaviour.slow(2), .slow(3), .slow(9), .nan] {
            try local.add(behaviour)
        }
        let job = local.cluster.open(geometry)
        defer { job.end() }
        var views = 0
        let latent = try render(sampler, on: job) { event in
            if case .view = event { views += 1 }
            if views == 30 { local.stop("thread-3") }
            if views == 60 { try local.add(.slow(1)) }
        }
        #expect(try latent == expected(sampler))
        #expect(views == sampler.plan.views)
    }

    /// Two renders at once: nothing that was begun early is lost or computed for the other.
    @Test func twoRendersTakeTurns() throws {
        let sampler = try makeSampler()
        let other = try makeSampler(steps: 3)
        let local = try ThreadCluster()
        defer { local.stop() }
        let workers = try [local.add(.slow(2)), local.add(.slow(5))]
        let results = Mutex<[[Float]]>([[], []])
        let threads = [sampler, other].enumerated().map { place, sampler in
            let job = local.cluster.open(geometry)
            return NamedThread("render") {
                defer { job.end() }
                // After an error the latent stays empty, and the comparison below fails.
                let latent = (try? self.render(sampler, on: job)) ?? []
                results.withLock { $0[place] = latent }
            }
        }
        for thread in threads { thread.join() }
        #expect(try results.withLock { $0[0] } == expected(sampler))
        #expect(try results.withLock { $0[1] } == expected(other))
        // Copies at the ends of steps are few: no view was computed for nothing.
        let planned = sampler.plan.views + other.plan.views
        let computed = workers.reduce(0) { $0 + $1.unitCount }
        #expect(computed < planned + planned / 4, "\(computed) of \(planned)")
    }

    /// Going back discards what was begun: other views are needed than expected.
    @Test func otherViewsThanThoseBegunAreComputed() throws {
        let sampler = try makeSampler()
        let local = try ThreadCluster()
        defer { local.stop() }
        try local.add(.slow(2))
        try local.add(.slow(5))
        let job = local.cluster.open(geometry)
        defer { job.end() }
        var noise = SeededNoise(seed: 4, kind: .torch)
        var states: [SamplerState] = []
        let loop = RenderLoop(sampler: sampler, renderer: job) { _ in }
        let latent = try loop.sample(noise: &noise) { state, _ in states.append(state) }
        // Again from the middle of the last phase, in the same job.
        let start = states[states.count - 4]
        #expect(try loop.sample(noise: &noise, from: start).values == latent.values)
        struct Enough: Error {}
        for views in [40, 55, 70] {
            var seen = 0
            var noise = SeededNoise(seed: 4, kind: .torch)
            let short = RenderLoop(sampler: sampler, renderer: job) { event in
                if case .view = event { seen += 1 }
                if seen == views { throw Enough() }
            }
            #expect(throws: Enough.self) { try short.sample(noise: &noise) }
            #expect(try loop.sample(noise: &noise, from: start).values == latent.values)
        }
    }
}
