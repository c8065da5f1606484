import Coordinator
import DirectRendering
import Engine
import Foundation
import Protocol
import Sampling
import TestSupport
import Testing

/// Answers with simple sums of its input, as workers of a guided or unguided job would.
private struct Sums: UnitByUnit {
    func result(of unit: WorkUnit, at place: Int) throws -> WorkResult {
        switch unit.work {
        case .predict(let view):
            return WorkResult(tensor: unit.input.map { $0 / 2 + view.timestep / 1000 })
        case .autoencode(.decoder, nil):
            let (height, width) = (unit.input.shape[1], unit.input.shape[2])
            return WorkResult(tensor: Tensor(zeros: [1, height * 8, width * 8, 3]))
        case .autoencode(.encoder, nil):
            let (height, width) = (unit.input.shape[1], unit.input.shape[2])
            return WorkResult(tensor: Tensor(zeros: [1, height / 8, width / 8, 4]))
        case .autoencode: preconditionFailure("no picture of these is decoded in parts")
        }
    }
}

/// Prompts for renderers that do not use them.
func anyPrompts(guided: Bool = true) -> Prompts {
    let prompt = Embedding(context: Tensor(zeros: [1, 2, 4]), pooled: Tensor(zeros: [1, 4]))
    return Prompts(positive: prompt, negative: guided ? prompt : nil)
}

/// Discards the picture.
private struct Nowhere: PictureSink {
    mutating func write(_ rows: Tensor) {}
}

@Suite struct RenderPlanTests {
    private static let model = ModelGeometry(
        nativeLatentSide: 8,
        vaeFactor: 8,
        latentChannels: 4,
        usesTimeIDs: true
    )

    private func scheduler(_ steps: Int) throws -> Scheduler {
        let folder = try #require(Fixtures.networks.first).checkpoint
        let config = try SchedulerConfig(file: "\(folder)/scheduler/scheduler_config.json")
        return try Scheduler(.ddim, config: config, steps: steps)
    }

    private func plan(
        _ width: Int,
        _ height: Int,
        steps: Int = 6,
        _ change: (inout RenderSettings) -> Void = { _ in }
    ) throws -> (RenderPlan, Scheduler) {
        let scheduler = try scheduler(steps)
        var settings = RenderSettings(
            size: Extent(height: height, width: width),
            steps: steps,
            scheduler: .ddim
        ) { $0.globalPass = .workers }
        change(&settings)
        return (try RenderPlan(settings, model: Self.model, scheduler: scheduler), scheduler)
    }

    /// Changes to the render settings, by name.
    static let changes: [(String, @Sendable (inout RenderSettings) -> Void)] = [
        ("as it is", { _ in }), ("unguided", { $0.guidance = 1 }),
        ("half precision", { $0.wire = .f16 }), ("padded", { $0.border = .zeros }),
        ("cheapest", { $0.ladder = .cheapest }), ("side by side", { $0.stride = .window }),
        ("close", { $0.stride = .every(3) }), ("skipping", { $0.skipBelow = 0.3 }),
        (
            "all",
            {
                ($0.ladder, $0.stride, $0.skipBelow) = (.cheapest, .window, 0.5)
                ($0.wire, $0.guidance) = (.f16, 0)
            }
        ),
        ("with its picture enlarged", { $0.upscaleMode = .image }),
        ("decoded with a margin", { $0.decodeMargin = 2 }),
        (
            "refined, decoded with a margin",
            { ($0.refinement, $0.decodeMargin) = (RefineSettings(), 1) }
        ),
        ("guided in the middle", { $0.guidanceInterval = [0.3, 3] }),
        (
            "refined, guided in the middle",
            {
                $0.refinement = RefineSettings(from: 0.5, steps: 3, guidance: 2)
                $0.guidanceInterval = [0.2, 0.6]
            }
        ),
        ("refined", { $0.refinement = RefineSettings() }),
        ("refined, unguided", { ($0.refinement, $0.guidance) = (RefineSettings(), 1) }),
        (
            "refined closely",
            {
                $0.refinement = RefineSettings(from: 0.5, steps: 3, noise: 0, guidance: 2)
                ($0.stride, $0.wire) = (.every(3), .f16)
            }
        ),
    ]

    /// The plan's figures match what the render asks of its workers, to the byte.
    @Test(arguments: changes.indices, [(320, 200), (64, 64), (72, 56), (40, 1000), (256, 256)])
    func thePlanMatchesTheRequestsToWorkers(change: Int, size: (Int, Int)) throws {
        let (plan, scheduler) = try self.plan(size.0, size.1, Self.changes[change].1)
        let renderer = CountingRenderer(Sums(), wire: plan.settings.wire)
        var (steps, views) = (0, 0)
        let job = RenderLoop(
            sampler: Sampler(
                plan: plan,
                scheduler: scheduler,
                prompts: anyPrompts(guided: plan.settings.guides)
            ),
            renderer: renderer
        ) { event in
            switch event {
            case .step: steps += 1
            case .view: views += 1
            default: break
            }
        }
        var noise = SeededNoise(seed: 1, kind: .torch)
        let latent = try job.sample(noise: &noise)
        let tally = renderer.tally
        #expect(steps == plan.phases.reduce(0) { $0 + $1.steps.count })
        #expect(views == plan.views)
        #expect(tally.evaluations == plan.evaluations)
        #expect(tally.viewBytes == plan.viewBytes)
        var sink = Nowhere()
        try job.decode(latent, to: &sink)
        #expect(renderer.tally.decodeBytes == plan.decodeBytes)
        #expect(renderer.tally.encodeBytes == plan.encodeBytes)
        #expect(latent.shape == [1, size.1 / 8, size.0 / 8, 4])
    }

    /// Outside the guidance interval, each view takes one evaluation.
    @Test func onlyAnIntervalIsGuided() throws {
        let (plan, scheduler) = try self.plan(128, 128) { $0.guidanceInterval = [0.28, 5.42] }
        let levels = scheduler.timesteps.indices.map { scheduler.noiseLevel(at: $0) }
        let guided = levels.filter { $0 > 0.28 && $0 <= 5.42 }.count
        #expect(guided > 0 && guided < levels.count)
        #expect(plan.evaluations < 2 * plan.views && plan.evaluations > plan.views)
        for phase in plan.phases {
            for step in phase.steps {
                let isGuided = levels[step] > 0.28 && levels[step] <= 5.42
                #expect(phase.guidance(at: step) == (isGuided ? 7.5 : 1))
            }
        }
    }

    /// No path with at least the tolerance as its weight is skipped, and none below it is kept.
    @Test(arguments: [0, 0.01, 0.05, 0.2, 0.5])
    func skipsPathsWithSmallWeights(tolerance: Double) throws {
        let (plan, _) = try self.plan(320, 320, steps: 50) { $0.skipBelow = tolerance }
        let (whole, _) = try self.plan(320, 320, steps: 50)
        for phase in plan.phases.dropFirst() {
            for (step, weights) in phase.weights.enumerated() {
                let (lattices, windows) = (Double(weights.dilated), 1 - Double(weights.dilated))
                #expect(phase.usesLattices(at: step) == (lattices >= tolerance && lattices > 0))
                #expect(phase.usesWindows(at: step) == (windows >= tolerance && windows > 0))
                #expect(phase.views(at: step) > 0)
            }
        }
        #expect(tolerance == 0 ? plan.views == whole.views : plan.views < whole.views)
    }

    /// Windows are side by side until the last steps, which leave no seams.
    @Test(arguments: [1, 2, 16, 17, 50]) func seamsAreSmoothedAtTheEnd(steps: Int) throws {
        let (plan, _) = try self.plan(320, 320, steps: steps) { $0.stride = .window }
        let (usual, _) = try self.plan(320, 320, steps: steps)
        for (phase, other) in Swift.zip(plan.phases, usual.phases).dropFirst() {
            let overlap = (0..<steps).filter { phase.windows(at: $0) == other.windows(at: $0) }
            #expect(overlap == Array((steps - (steps + 15) / 16)..<steps))
            let (apart, overlapping) = (
                try #require(phase.windows).count, try #require(other.windows).count
            )
            // Three windows in a row overlap as little as possible.
            #expect(phase.phase.scale > 2 ? apart < overlapping : apart <= overlapping)
        }
    }

    /// Only the whole picture and its sub-lattices have the corner as their crop coordinates.
    @Test(arguments: [WindowStride?.none, .window])
    func aWindowAtTheCornerIsNotTheWhole(stride: WindowStride?) throws {
        let (plan, scheduler) = try self.plan(128, 128) { $0.stride = stride }
        let sampler = Sampler(plan: plan, scheduler: scheduler, prompts: anyPrompts())
        var noise = SeededNoise(seed: 2, kind: .torch)
        var state = try sampler.start(noise)
        while state.phase < plan.phases.count {
            let work = try sampler.work(for: state, noise: &noise)
            let corners = work.views.map { unit -> [Float] in
                guard case .predict(let view) = unit.work else { return [] }
                return view.conditioning[0].timeIDs.map { [$0[2], $0[3]] } ?? []
            }
            let windows =
                plan.phases[state.phase].usesWindows(at: state.step) ? work.windows.count : 0
            #expect(corners.prefix(windows).allSatisfy { $0.allSatisfy { $0 >= 8 } })
            #expect(corners.dropFirst(windows).allSatisfy { $0 == [0, 0] })
            let predictions = work.views.map(\.input)
            let fused = sampler.fuse(predictions, of: work, at: state)
            _ = try sampler.advance(&state, work, prediction: fused, noise: noise)
        }
    }

    /// When one path is skipped, the other gets the whole weight.
    @Test func whatRemainsHasTheWhole() throws {
        let (plan, scheduler) = try self.plan(128, 128) { $0.skipBelow = 0.5 }
        let sampler = Sampler(plan: plan, scheduler: scheduler, prompts: anyPrompts())
        var noise = SeededNoise(seed: 2, kind: .torch)
        var state = try sampler.start(noise)
        var seen: Set<Bool> = []
        while state.phase < plan.phases.count {
            let work = try sampler.work(for: state, noise: &noise)
            let predictions = work.views.map { $0.input.map { _ in 0.5 } }
            let fused = sampler.fuse(predictions, of: work, at: state)
            #expect(fused.values.allSatisfy { $0 == 0.5 })
            if state.phase > 0 {
                let phase = plan.phases[state.phase]
                #expect(phase.usesWindows(at: state.step) != phase.usesLattices(at: state.step))
                seen.insert(phase.usesWindows(at: state.step))
            }
            _ = try sampler.advance(&state, work, prediction: fused, noise: noise)
        }
        #expect(seen == [true, false])
    }

    /// Sizes of posters, films and panoramas, with the default model's geometry.
    @Test(arguments: [
        (2560, 1440), (3840, 2160), (10_000, 3000), (8192, 256), (256, 8192), (16_384, 512),
        (2048, 128), (16_384, 16_384), (65_536, 65_536),
    ])
    func largePicturesHavePlans(width: Int, height: Int) throws {
        let model = ModelGeometry(
            nativeLatentSide: 32,
            vaeFactor: 8,
            latentChannels: 4,
            usesTimeIDs: true
        )
        let scheduler = try scheduler(2)
        var views: [Int] = []
        for ladder in [LadderChoice.everyScale, .cheapest] {
            let plan = try RenderPlan(
                RenderSettings(
                    size: Extent(height: height, width: width),
                    steps: 2,
                    scheduler: .ddim
                ) { $0.ladder = ladder },
                model: model,
                scheduler: scheduler
            )
            views.append(plan.views)
            let last = plan.phases.count - 1
            #expect(plan.pixels(ofPhase: last) == Extent(height: height, width: width))
            for phase in plan.phases.dropFirst() {
                let (windows, lattices) = (
                    try #require(phase.windows), try #require(phase.lattices)
                )
                #expect(windows.window.longSide <= 32)
                #expect(lattices.extent(0).shortSide >= min(8, phase.phase.latent.shortSide))
                #expect(lattices.extent(0).area <= plan.phases[0].phase.latent.area * 2)
            }
        }
        #expect(views[1] <= views[0])
    }

    /// Workers of different speeds, each taking its next view when it has finished one.
    @Test func viewsTakeAsLongAsTheSlowestShare() {
        var random = Mutator(seed: 9)
        for _ in 0..<200 {
            let paces = (0..<(1 + random.below(4))).map { _ in Double(1 + random.below(9)) / 4 }
            let count = random.below(40)
            let speeds = MeasuredSpeeds(
                workers: paces.map { .init(name: "w", secondsPerView: $0) },
                viewArea: 64,
                globalStep: 1,
                decodePixel: 0
            )
            var ends = paces.map { _ in 0.0 }
            for _ in 0..<count {
                let next = paces.indices.min { ends[$0] + paces[$0] < ends[$1] + paces[$1] } ?? 0
                ends[next] += paces[next]
            }
            let expected = ends.max() ?? 0
            #expect(abs(speeds.time(forViews: count) - expected) < 1e-6, "\(paces), \(count)")
        }
    }

    /// Two equal workers and a coordinator that costs nothing: each step takes half the time of its views.
    @Test func timesFollowFromTheViews() throws {
        let (plan, _) = try self.plan(256, 256) { $0.border = .zeros }
        var speeds = MeasuredSpeeds(
            workers: [
                .init(name: "a", secondsPerView: 0.5), .init(name: "b", secondsPerView: 0.5),
            ],
            viewArea: 64,
            globalStep: 3,
            decodePixel: 0.25
        )
        (speeds.evaluationsPerView, speeds.globalEvaluations) = (2, 2)
        let times = plan.times(at: speeds)
        #expect(times.phases[0] == Double(plan.settings.steps) * 3)
        for (phase, time) in Swift.zip(plan.phases, times.phases).dropFirst() {
            // All views of a square of whole windows have the size that was timed.
            let expected = phase.weights.indices.reduce(0.0) { sum, step in
                let views = phase.views(at: step)
                let area = Double(phase.viewArea(at: step)) / Double(views * 64)
                return sum + Double((views + 1) / 2) * 0.5 * area
            }
            #expect(abs(time - expected) < 1e-6 * expected)
        }
        #expect(times.decoding == 32 * 32 * 0.25)
        #expect(abs(times.total - times.phases.reduce(times.decoding, +)) < 1e-9)
    }

    /// What a render writes is no larger than the plan says.
    @Test func filesAreNoLargerThanPlanned() throws {
        let (plan, _) = try self.plan(512, 256)
        let scheduler = try scheduler(6)
        try inTemporaryFolder { folder in
            var most = 0
            var noise = SeededNoise(seed: 4, kind: .torch)
            let job = RenderLoop(
                sampler: Sampler(plan: plan, scheduler: scheduler, prompts: anyPrompts()),
                renderer: Sums()
            ) { _ in }
            var states: [(SamplerState, Int)] = []
            _ = try job.sample(noise: &noise) { states.append(($0, $1)) }
            for (state, drawn) in states {
                let path = "\(folder)/state"
                try Checkpoint(state: state, drawn: drawn, finished: []).write(to: path, job: "job")
                most = max(most, try Data(contentsOf: URL(fileURLWithPath: path)).count)
            }
            #expect(2 * most <= plan.checkpointBytes)
            #expect(plan.checkpointBytes <= 4 * most + 128 << 10)
            let path = "\(folder)/a.png"
            let size = plan.settings.size
            let writer = try PNGWriter(
                file: path,
                width: size.width,
                height: size.height,
                text: [("prompt", "a prompt")]
            )
            var random = Mutator(seed: 1)
            let count = size.area * 3
            try writer.write(rows: (0..<count).map { _ in UInt8(random.below(256)) })
            try writer.finish()
            let bytes = try Data(contentsOf: URL(fileURLWithPath: path)).count
            #expect(bytes <= plan.pictureBytes && bytes > count)
        }
    }
}
