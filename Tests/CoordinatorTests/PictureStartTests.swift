import Coordinator
import DirectRendering
import Engine
import Foundation
import Protocol
import Sampling
import TestSupport
import Testing

/// A model whose encoder takes every eighth pixel, and whose predictions are simple formulas.
private final class Formula: UnitByUnit {
    let prediction: @Sendable (WorkUnit, WorkUnit.View) -> Tensor

    init(
        _ prediction: @escaping @Sendable (WorkUnit, WorkUnit.View) -> Tensor = { unit, view in
            unit.input.map { ($0 * 0.7 + view.timestep / 1000) / (1 + abs($0)) }
        }
    ) { self.prediction = prediction }

    func result(of unit: WorkUnit, at place: Int) throws -> WorkResult {
        switch unit.work {
        case .predict(let view): return WorkResult(tensor: prediction(unit, view))
        case .autoencode(.encoder, nil): return WorkResult(tensor: Self.encode(unit.input))
        case .autoencode(.decoder, nil):
            let (height, width) = (unit.input.shape[1], unit.input.shape[2])
            return WorkResult(tensor: Tensor(zeros: [1, 8 * height, 8 * width, 3]))
        case .autoencode(let half, let part?): return evaluate(half, unit.input, as: part)
        }
    }

    private func evaluate(
        _ half: AutoencoderHalf,
        _ input: Tensor,
        as part: PicturePart
    ) -> WorkResult {
        let (shape, network) = (input.shape, PictureStartTests.network(half))
        let unit = half == .encoder ? 8 : 1
        let core = part.margins.core(height: shape[1] / unit, width: shape[2] / unit)
        guard part.norm == 0 else {
            let tokens = part.tokens.map { lattice in
                let places = lattice.places(height: core.rows.count, width: core.columns.count)
                return Tensor(zeros: [1, places.rows.count, places.columns.count, network.width])
            }
            return WorkResult(
                tensor: tokens,
                statistics: Array(
                    repeating: Moments(mean: 0, variance: 1.2),
                    count: network.groups
                )
            )
        }
        let whole = half == .encoder ? Self.encode(input) : input
        let tile = whole.cropped(
            top: core.rows.lowerBound,
            left: core.columns.lowerBound,
            height: core.rows.count,
            width: core.columns.count
        )
        return WorkResult(
            tensor: half == .encoder
                ? tile : Tensor(zeros: [1, 8 * core.rows.count, 8 * core.columns.count, 3])
        )
    }

    static func encode(_ picture: Tensor) -> Tensor {
        let (height, width) = (picture.shape[1], picture.shape[2])
        return Tensor(shape: [1, height / 8, width / 8, 4]) { out in
            picture.withFloats { x in
                for i in out.indices {
                    let (pixel, channel) = (i / 4, i % 4)
                    let (row, column) = (8 * (pixel / (width / 8)), 8 * (pixel % (width / 8)))
                    out[i] = 3 * x[(row * width + column) * 3 + min(channel, 2)]
                }
            }
        }
    }
}

private struct Nowhere: PictureSink {
    mutating func write(_ rows: Tensor) {}
}

@Suite struct PictureStartTests {
    /// Network of a larger model, whose norms need passes of their own.
    static func network(_ half: AutoencoderHalf) -> TiledNetwork {
        TiledNetwork(
            half: half,
            norms: 6,
            groups: 1,
            attention: 2,
            width: 2,
            halo: 4
        )
    }

    private func plan(
        _ size: Extent,
        of picture: Extent = Extent(height: 100, width: 120),
        strength: Double = 1,
        fidelity: Double = 0.5,
        steps: Int = 6,
        kind: SchedulerKind = .ddim,
        _ change: (inout RenderSettings) -> Void = { _ in }
    ) throws -> Sampler {
        let folder = try #require(Fixtures.networks.first).checkpoint
        let config = try SchedulerConfig(file: "\(folder)/scheduler/scheduler_config.json")
        let scheduler = try Scheduler(kind, config: config, steps: steps)
        var settings = RenderSettings(
            size: size,
            steps: steps,
            scheduler: kind
        ) {
            $0.picture = PictureStart(
                strength: strength,
                fidelity: fidelity,
                frame: PictureFrame(
                    ofHeight: picture.height,
                    width: picture.width,
                    covering: (size.height, size.width),
                    slack: 8
                )
            )
            $0.globalPass = .workers
        }
        change(&settings)
        let model = ModelGeometry(
            nativeLatentSide: 8,
            vaeFactor: 8,
            latentChannels: 4,
            usesTimeIDs: false,
            decoder: Self.network(.decoder),
            encoder: Self.network(.encoder)
        )
        let plan = try RenderPlan(settings, model: model, scheduler: scheduler)
        return Sampler(plan: plan, scheduler: scheduler, prompts: anyPrompts())
    }

    /// A picture on disk, with slowly changing colours and with edges.
    private func picture(_ folder: String, _ size: Extent) throws -> InitPicture {
        let path = "\(folder)/picture.png"
        let writer = try PNGWriter(file: path, width: size.width, height: size.height)
        try writer.write(
            rows: (0..<size.area * 3).map { i in
                let (row, column) = (i / 3 / size.width, i / 3 % size.width)
                let edge = row > column ? 60 : 0
                return UInt8((row * 150 / size.height + column * 40 / size.width + edge) % 256)
            }
        )
        try writer.finish()
        return try InitPicture(path)
    }

    private struct Outcome {
        var latent: Tensor
        var finished: [Tensor] = []
        var views = 0
        var tally: RenderTally
        var states: [(SamplerState, Int)] = []
    }

    private func render(
        _ sampler: Sampler,
        _ size: Extent = Extent(height: 100, width: 120),
        _ renderer: Formula = Formula()
    ) throws -> Outcome {
        try inTemporaryFolder { folder in
            let counting = CountingRenderer(renderer, wire: sampler.plan.settings.wire)
            var outcome = Outcome(latent: Tensor(zeros: [1]), tally: counting.tally)
            var noise = SeededNoise(seed: 3, kind: .torch)
            let job = RenderLoop(
                sampler: sampler,
                renderer: counting,
                picture: try picture(folder, size)
            ) { event in
                switch event {
                case .view: outcome.views += 1
                case .finished(_, let latent): outcome.finished.append(latent)
                default: break
                }
            }
            var states: [(SamplerState, Int)] = []
            outcome.latent = try job.sample(noise: &noise) { states.append(($0, $1)) }
            outcome.states = states
            var sink = Nowhere()
            try job.decode(outcome.latent, to: &sink)
            outcome.tally = counting.tally
            return outcome
        }
    }

    private static let cases: [(Double, Double)] = [
        (1, 0), (1, 0.5), (1, 1), (0.5, 0.25), (0.34, 0), (0, 0.5), (0, 0),
    ]

    /// The plan's figures match what the render asks of its workers.
    @Test(arguments: cases, [(128, 160), (1040, 1048), (64, 64)])
    func thePlanMatchesTheRequestsToWorkers(shares: (Double, Double), size: (Int, Int)) throws {
        let size = Extent(height: size.0, width: size.1)
        let sampler = try plan(size, strength: shares.0, fidelity: shares.1, steps: 3) {
            ($0.ladder, $0.wire) = (.cheapest, .f16)
        }
        let plan = sampler.plan
        let outcome = try render(sampler)
        #expect(outcome.latent.shape == [1, size.height / 8, size.width / 8, 4])
        #expect(outcome.views == plan.views)
        #expect(outcome.tally.viewBytes == plan.viewBytes)
        #expect(outcome.tally.evaluations == plan.evaluations)
        // This model's norms take as many passes as the plan counts.
        #expect(outcome.tally.decodeBytes == plan.decodeBytes)
        #expect(outcome.tally.encodeBytes == plan.encodeBytes)
        #expect(plan.decode.isWhole == (size.height < 1000))
        #expect(outcome.finished.count == plan.phases.count)
        let isShown = plan.phases.last?.constraint?.isWhole == true
        #expect((plan.views == 0) == (shares.0 == 0 || isShown))
    }

    /// As in Diffusers, the last ⌊n · strength⌋ of n steps are run.
    @Test(arguments: [(1.0, 50), (0.5, 25), (0.58, 28), (0.999, 49), (0.02, 1), (0, 0)])
    func strengthIsAShareOfTheSteps(strength: Double, steps: Int) throws {
        let sampler = try plan(
            Extent(height: 128, width: 128),
            strength: strength,
            fidelity: 0,
            steps: 50
        )
        for phase in sampler.plan.phases {
            #expect(phase.steps == 50 - steps..<50)
            #expect(phase.steps.count == sampler.plan.stepsRun)
        }
    }

    /// Without strength, or if everything is constrained, the picture itself is the result.
    @Test(arguments: [(0.0, 0.0), (0, 1), (1, 1)])
    func fullFidelityChangesNothing(strength: Double, fidelity: Double) throws {
        let size = Extent(height: 96, width: 120)
        let sampler = try plan(size, of: size, strength: strength, fidelity: fidelity)
        #expect(sampler.plan.phases.count == 1 && sampler.plan.views == 0)
        let outcome = try render(sampler, size)
        let expected = try inTemporaryFolder { folder in
            let scaled = try ScaledPicture(
                PictureFile(picture(folder, size).file.path),
                frame: PictureFrame(rows: 0..<96, columns: 0..<120),
                height: 96,
                width: 120
            )
            return Formula.encode(try scaled.part(Region(rows: 0..<96, columns: 0..<120)))
        }
        #expect(outcome.latent.values == expected.values)
    }

    /// Phases whose content the picture fully determines are skipped; the first remaining one starts from the picture.
    @Test func phasesThatThePictureShowsAreSkipped() throws {
        let picture = Extent(height: 256, width: 256)
        let sampler = try plan(Extent(height: 512, width: 512), of: picture, fidelity: 1)
        let phases = sampler.plan.phases
        #expect(phases.map(\.phase.scale) == [4, 5, 6, 7, 8])
        #expect(phases[0].steps.isEmpty && phases.dropFirst().allSatisfy { $0.steps.count == 6 })
        let half = try plan(Extent(height: 512, width: 512), of: picture, fidelity: 0.5)
        #expect(half.plan.phases.map(\.phase.scale) == [2, 3, 4, 5, 6, 7, 8])
        let free = try plan(Extent(height: 512, width: 512), of: picture, fidelity: 0)
        #expect(free.plan.phases.count == 8 && free.plan.encodes.keys.sorted() == [0])
    }

    /// The more is constrained, the closer the result is to the picture, whatever is predicted; down to the resolution
    /// of the constraint they are the same.
    @Test(arguments: [SchedulerKind.ddim, .dpmSolver, .eulerAncestral])
    func fidelityBringsTheResultNearer(kind: SchedulerKind) throws {
        let size = Extent(height: 192, width: 240)
        var distances: [Float] = []
        for fidelity in [0, 0.125, 0.25, 0.5, 1] {
            let sampler = try plan(size, fidelity: fidelity, kind: kind)
            let outcome = try render(sampler)
            let last = try #require(sampler.plan.phases.last)
            let target = try inTemporaryFolder { folder in
                let file = try PictureFile(
                    picture(folder, Extent(height: 100, width: 120)).file.path
                )
                let start = try #require(sampler.plan.settings.picture)
                let scaled = try ScaledPicture(file, frame: start.frame, height: 192, width: 240)
                return Formula.encode(try scaled.part(Region(rows: 0..<192, columns: 0..<240)))
            }
            // Compared at the picture's own size.
            let difference = (outcome.latent - target).resampled(height: 12, width: 15)
            let squares = difference.values.reduce(0) { $0 + $1 * $1 }
            distances.append((squares / Float(difference.count)).squareRoot())
            guard let constraint = last.constraint else { continue }
            let left = (outcome.latent - target)
                .resampled(height: constraint.grid.height, width: constraint.grid.width)
            let spread = target.meanAndDeviation().deviation
            // Resampling twice is not quite the same as once: near the limit of the constraint, a little gets through.
            let rest = left.meanAndDeviation()
            #expect(abs(rest.mean) + rest.deviation < 0.25 * spread, "\(fidelity): \(rest)")
        }
        for (less, more) in zip(distances, distances.dropFirst()) {
            #expect(more < less, "\(distances)")
        }
        #expect(distances[4] < 0.2 * distances[0], "\(distances)")
    }

    /// A run that starts in the middle begins with a first-order step.
    @Test func multistepsBeginAnywhere() throws {
        let folder = try #require(Fixtures.networks.first).checkpoint
        let config = try SchedulerConfig(file: "\(folder)/scheduler/scheduler_config.json")
        let scheduler = try Scheduler(.dpmSolver, config: config, steps: 8)
        let x = Tensor([0.3, -1, 2], shape: [3])
        let clean = Tensor([0.5, 0.25, -1], shape: [3])
        for i in 1..<8 {
            // With the noise known, a first-order step goes exactly from one level to the next.
            let noise = Tensor([1, -0.5, 0.125], shape: [3])
            let noised = scheduler.addNoise(clean, noise, at: i)
            let output = scheduler.output(x, at: i, from: noised) { _ in clean }
            var history = Scheduler.History()
            let next = scheduler.step(output, at: i, from: noised, history: &history, noise: nil)
            let expected = i < 7 ? scheduler.addNoise(clean, noise, at: i + 1) : clean
            for (a, b) in zip(next.values, expected.values) { #expect(abs(a - b) < 2e-3) }
        }
    }

    /// Changing a prediction gives exactly the requested estimate.
    @Test(arguments: SchedulerKind.allCases) func estimatesCanBeChanged(kind: SchedulerKind) throws
    {
        let folder = try #require(Fixtures.networks.first).checkpoint
        let config = try SchedulerConfig(file: "\(folder)/scheduler/scheduler_config.json")
        let scheduler = try Scheduler(kind, config: config, steps: 4)
        let (x, output) = (Tensor([0.3, -1, 2], shape: [3]), Tensor([1, 0.5, -0.25], shape: [3]))
        let wanted = Tensor([0.1, 0.2, 0.3], shape: [3])
        for i in 0..<4 {
            let changed = scheduler.output(output, at: i, from: x) { _ in wanted }
            _ = scheduler.output(changed, at: i, from: x) { estimate in
                for (a, b) in zip(estimate.values, wanted.values) { #expect(abs(a - b) < 1e-4) }
                return estimate
            }
        }
    }

    /// Saved after every step, loaded and continued: every bit is the same.
    @Test(arguments: [(1.0, 0.5), (0.5, 0), (1, 1)], [SchedulerKind.dpmSolver, .eulerAncestral])
    func anyStepCanBeResumed(shares: (Double, Double), kind: SchedulerKind) throws {
        let sampler = try plan(
            Extent(height: 128, width: 160),
            of: Extent(height: 64, width: 80),
            strength: shares.0,
            fidelity: shares.1,
            kind: kind
        )
        let size = Extent(height: 64, width: 80)
        let whole = try render(sampler, size)
        #expect(whole.states.count == sampler.plan.phases.reduce(0) { $0 + $1.steps.count })
        try inTemporaryFolder { folder in
            let picture = try picture(folder, size)
            for (place, (state, drawn)) in whole.states.enumerated() {
                let path = "\(folder)/\(place)"
                try Checkpoint(state: state, drawn: drawn, finished: []).write(to: path, job: "j")
                let bytes = try Data(contentsOf: URL(fileURLWithPath: path)).count
                #expect(2 * bytes <= sampler.plan.checkpointBytes)
                var noise = SeededNoise(seed: 3, kind: .torch)
                let read = try Checkpoint(file: path, plan: sampler.plan, job: "j", noise: &noise)
                let job = RenderLoop(
                    sampler: sampler,
                    renderer: Formula(),
                    picture: picture
                ) { _ in }
                let latent = try job.sample(noise: &noise, from: read.state)
                #expect(latent.values == whole.latent.values)
            }
        }
    }

    @Test(arguments: [
        (Double.nan, 0.5, "--strength"), (-0.1, 0.5, "--strength"), (1.1, 0.5, "--strength"),
        (0.1, 0.5, "--strength"), (.infinity, 0.5, "--strength"), (1, .nan, "--fidelity"),
        (1, -1, "--fidelity"), (1, 1.5, "--fidelity"),
    ])
    func sharesOutOfRangeAreRefused(strength: Double, fidelity: Double, flag: String) throws {
        let error = #expect(throws: InputError.self) {
            try plan(
                Extent(height: 64, width: 64),
                strength: strength,
                fidelity: fidelity,
                steps: 6
            )
        }
        #expect(error?.place == flag)
    }

    /// The constraint is almost a projection: it takes all coarse content and no fine content.
    @Test func whatIsHeldIsCoarse() throws {
        let latent = Extent(height: 32, width: 48)
        let constraint = try #require(
            PictureConstraint(fidelity: 0.5, of: (16, 24), latent: latent)
        )
        #expect(constraint.grid == Extent(height: 8, width: 12) && !constraint.isWhole)
        #expect(PictureConstraint(fidelity: 0, of: (16, 24), latent: latent) == nil)
        #expect(PictureConstraint(fidelity: 1, of: (40, 60), latent: latent)?.isWhole == true)
        #expect(PictureConstraint(fidelity: 0.01, of: (16, 24), latent: latent)?.grid.area == 1)
        func wave(_ cycles: Float) -> Tensor {
            Tensor(shape: [1, 32, 48, 1]) { out in
                for i in out.indices {
                    out[i] = sin(2 * .pi * cycles * Float(i % 48) / 48 + 0.3)
                }
            }
        }
        let zero = Tensor(zeros: [1, 32, 48, 1])
        func energy(_ x: Tensor) -> Float {
            // Pixels at the edges see only half a window.
            x.cropped(top: 8, left: 12, height: 16, width: 24).values.reduce(0) { $0 + $1 * $1 }
        }
        let (coarse, fine) = (wave(2), wave(20))
        #expect(energy(constraint.apply(to: zero, coarse) - coarse) < 0.01 * energy(coarse))
        #expect(energy(constraint.apply(to: zero, fine)) < 0.01 * energy(fine))
        // A constant offset is taken from the picture, too.
        let lifted = constraint.apply(to: fine, fine.map { $0 + 2.5 })
        for (a, b) in zip(lifted.values, fine.values) { #expect(abs(a - b - 2.5) < 1e-4) }
    }

    @Test func theDefaultSizeIsThePictures() {
        let model = ModelGeometry(
            nativeLatentSide: 32,
            vaeFactor: 8,
            latentChannels: 4,
            usesTimeIDs: false
        )
        func size(_ height: Int, _ width: Int) -> Extent {
            PictureOptions.defaultSize(
                for: model,
                picture: Extent(height: height, width: width)
            )
        }
        #expect(size(512, 768) == Extent(height: 512, width: 768))
        #expect(size(1003, 999) == Extent(height: 1000, width: 992))
        #expect(size(100, 50) == Extent(height: 256, width: 128))
        #expect(size(1, 4000) == Extent(height: 8, width: 4000))
    }
}
