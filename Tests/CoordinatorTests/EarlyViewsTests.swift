import Coordinator
import Engine
import Sampling
import TestSupport
import Testing

/// Views of the next step that are cut before the current step ends.
@Suite struct EarlyViewsTests {
    private static let model = ModelGeometry(
        nativeLatentSide: 8,
        vaeFactor: 8,
        latentChannels: 4,
        usesTimeIDs: true
    )

    private func sampler(
        _ kind: SchedulerKind = .ddim,
        steps: Int = 5,
        _ change: (inout RenderSettings) -> Void = { _ in }
    ) throws -> Sampler {
        let folder = try #require(Fixtures.networks.first).checkpoint
        let config = try SchedulerConfig(file: "\(folder)/scheduler/scheduler_config.json")
        let scheduler = try Scheduler(kind, config: config, steps: steps)
        var settings = RenderSettings(
            size: Extent(height: 136, width: 168),
            steps: steps,
            scheduler: kind
        ) { $0.globalPass = .workers }
        change(&settings)
        let plan = try RenderPlan(settings, model: Self.model, scheduler: scheduler)
        return Sampler(plan: plan, scheduler: scheduler, prompts: anyPrompts())
    }

    /// Depends on every pixel of the view, and differs from view to view.
    private func predict(_ unit: WorkUnit, _ index: Int) -> Tensor {
        unit.input.map { $0 / 3 + Float(index % 7) / 16 }
    }

    private func isSame(_ a: WorkUnit, _ b: WorkUnit) -> Bool {
        a.work == b.work && a.input.shape == b.input.shape && a.input.values == b.input.values
            && (a.name, a.place) == (b.name, b.place)
    }

    /// Renders all steps, with the predictions of each in a random order.
    ///
    /// - Returns: for each step after phase 1, how many views of the next step were cut early; -1 if none can be
    private func run(
        _ sampler: Sampler,
        mask: Bool = false,
        seed: UInt64 = 3
    ) throws -> [(phase: Int, step: Int, early: Int)] {
        var random = SplitMix(seed)
        var noise = SeededNoise(seed: 5, kind: .philox)
        var state = try sampler.start(noise)
        var found: [(phase: Int, step: Int, early: Int)] = []
        var expected: [Int: WorkUnit]?
        while state.phase < sampler.plan.phases.count {
            if state.awaitsEnlargement {
                let size = sampler.plan.phases[state.phase].phase.latent
                try sampler.begin(&state, enlarged: Bicubic.resize(state.latent, to: size), noise)
            }
            if mask, state.phase > 0, state.mask == nil {
                let half = state.latent.values.indices.map { Float($0 % 5) / 8 }
                state.picture = Tensor(half, shape: state.latent.shape)
                let (height, width) = (state.latent.shape[1], state.latent.shape[2])
                state.mask = Tensor(
                    (0..<height * width).map { Float($0 % 3) / 2 },
                    shape: [1, height, width, 1]
                )
            }
            let work = try sampler.work(for: state, noise: &noise)
            if let early = expected {
                for (index, unit) in early {
                    #expect(
                        isSame(unit, work.views[index]),
                        "phase \(state.phase), step \(state.step), view \(index)"
                    )
                }
            }
            var early = sampler.early(after: work, at: state, noise: noise)
            let hasEarly = early != nil
            let predictions = work.views.enumerated().map { predict($1, $0) }
            var cut: [Int: WorkUnit] = [:]
            for index in predictions.indices.shuffled(using: &random) {
                for view in try early?.predicted(index, predictions[index]) ?? [] {
                    #expect(cut[view.index] == nil)
                    cut[view.index] = view.unit
                }
            }
            expected = hasEarly ? cut : nil
            if state.phase > 0 {
                found.append((state.phase, state.step, hasEarly ? cut.count : -1))
            }
            _ = try sampler.advance(
                &state,
                work,
                prediction: sampler.fuse(predictions, of: work, at: state),
                noise: noise
            )
        }
        return found
    }

    /// Expects all windows of the next step to be cut from a step's predictions, bit for bit as in the next step.
    private func expectAll(_ sampler: Sampler, mask: Bool = false) throws {
        for step in try run(sampler, mask: mask) {
            let phase = sampler.plan.phases[step.phase]
            let isLast = step.step == phase.steps.upperBound - 1
            let isInversion = phase.refinement != nil && step.step == 0
            let windows = [step.step, step.step + 1].allSatisfy {
                isLast || phase.usesWindows(at: $0)
            }
            let count =
                isLast || isInversion || !windows ? -1 : phase.windows(at: step.step + 1)?.count
            #expect(step.early == count, "phase \(step.phase), step \(step.step)")
        }
    }

    @Test(arguments: SchedulerKind.allCases)
    func everySampler(_ kind: SchedulerKind) throws { try expectAll(try sampler(kind)) }

    @Test(arguments: [SchedulerKind.ddim, .eulerAncestral, .dpmSolver])
    func refinement(_ kind: SchedulerKind) throws {
        let refined = try sampler(kind, steps: 20) {
            $0.method = .refine
            $0.refinement = RefineSettings(steps: 3)
        }
        try expectAll(refined)
    }

    @Test(
        arguments: [
            WindowStride.every(3), .every(4), .every(8), .window,
        ],
        Border.allCases
    )
    func everyLayout(_ stride: WindowStride, _ border: Border) throws {
        for weight in stride == .window ? [.uniform] : WindowWeight.allCases {
            try expectAll(
                try sampler { ($0.stride, $0.border, $0.windowWeight) = (stride, border, weight) }
            )
        }
    }

    @Test func stepsOfOnlyWindowsOrLattices() throws {
        let sampler = try sampler(steps: 8) { $0.skipBelow = 0.4 }
        let phase = try #require(sampler.plan.phases.last)
        #expect(phase.steps.contains { !phase.usesWindows(at: $0) })
        #expect(phase.steps.contains { !phase.usesLattices(at: $0) })
        try expectAll(sampler)
    }

    @Test func whatAMaskKeeps() throws {
        try expectAll(try sampler(), mask: true)
        try expectAll(try sampler(.eulerAncestral), mask: true)
    }

    /// A window is cut as soon as its last prediction is there.
    @Test func nothingIsCutBeforeWhatItNeeds() throws {
        let sampler = try sampler()
        var noise = SeededNoise(seed: 5, kind: .philox)
        var state = try sampler.start(noise)
        let last = sampler.plan.phases.count - 1
        while state.phase < last {
            let work = try sampler.work(for: state, noise: &noise)
            let predictions = work.views.enumerated().map { predict($1, $0) }
            let fused = sampler.fuse(predictions, of: work, at: state)
            _ = try sampler.advance(&state, work, prediction: fused, noise: noise)
        }
        let work = try sampler.work(for: state, noise: &noise)
        let lattices = work.views.count - work.windows.count
        #expect(lattices > 1 && work.windows.count > 8)
        let first = try #require(sampler.early(after: work, at: state, noise: noise))
        for missing in work.views.indices {
            var early = first
            var cut: Set<Int> = []
            for index in work.views.indices where index != missing {
                cut.formUnion(
                    try early.predicted(index, predict(work.views[index], index)).map(\.index)
                )
            }
            // With a lattice missing, nothing is cut; with a window missing, only what does not touch it.
            if missing >= work.windows.count { #expect(cut.isEmpty) }
            let rest = try early.predicted(missing, predict(work.views[missing], missing)).map(
                \.index
            )
            #expect(cut.isDisjoint(with: rest) && !rest.isEmpty)
            #expect(cut.count + rest.count == sampler.plan.phases[last].windows?.count)
            let next = try noiseCopy(noise, sampler, state)
            for index in rest where missing < work.windows.count {
                #expect(touch(next[index], work.windows[missing]))
            }
        }
    }

    private func noiseCopy(
        _ noise: SeededNoise,
        _ sampler: Sampler,
        _ state: SamplerState
    ) throws -> [Window] {
        let phase = sampler.plan.phases[state.phase]
        let grid = try #require(phase.windows(at: state.step + 1))
        return try noise.windows(of: grid, phase: phase.phase, step: state.step + 1)
    }

    private func touch(_ a: Window, _ b: Window) -> Bool {
        a.region.rows.overlaps(b.region.rows) && a.region.columns.overlaps(b.region.columns)
    }
}
