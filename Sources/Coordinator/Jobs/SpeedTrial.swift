import Engine
import Sampling

/// Times a few views of a render on its workers, to estimate how long the render takes.
package struct SpeedTrial {
    private let sampler: Sampler
    private let job: RenderLoop
    private let renderer: any UnitRenderer
    private let statistics: () -> [WorkerStatistics]

    /// Time for which views are measured, in seconds, and limits on the number of rounds of two views per worker.
    private static let seconds = 2.0
    private static let rounds = 1...32
    /// Side of the latent that is decoded and encoded, in latent pixels.
    private static let tileSide = 64

    /// - Parameters:
    ///   - sampler: the render's sampler
    ///   - renderer: workers that have the job
    ///   - globalPass: renders phase 1; nil if workers do
    ///   - statistics: each worker's statistics so far
    package init(
        sampler: Sampler,
        renderer: any UnitRenderer,
        globalPass: LocalRenderer?,
        statistics: @escaping () -> [WorkerStatistics]
    ) {
        self.sampler = sampler
        self.renderer = renderer
        self.statistics = statistics
        job = RenderLoop(sampler: sampler, renderer: renderer, globalPass: globalPass) { _ in }
    }

    /// - Parameter noise: the render's noise source
    /// - Returns: the measured speeds
    /// - Throws: whatever the renderer throws
    package func run(noise: some NoiseSource) throws -> MeasuredSpeeds {
        var noise = noise
        let clock = ContinuousClock()
        var speeds = MeasuredSpeeds(workers: [], viewArea: 1, globalStep: 0, decodePixel: 0)
        let (plan, channels) = (sampler.plan, sampler.plan.model.latentChannels)
        if plan.phases[0].isWhole, !plan.phases[0].steps.isEmpty {
            let first = try sampler.start(noise)
            let input = picture(plan.phases[0].phase.latent)
            let whole = try sampler.work(for: first, picture: input, noise: &noise).views
            // The first evaluation prepares weights and prompts.
            _ = try job.predict(whole: whole)
            let globalStep = try clock.measure { _ = try job.predict(whole: whole) }
            speeds.globalStep = globalStep / .seconds(1)
            speeds.globalEvaluations = plan.phases[0].evaluationsPerView(at: first.step)
        }
        if let last = plan.phases.last, !last.isWhole, !last.steps.isEmpty {
            try timeLastPhase(&speeds, noise: &noise)
        }
        let side = min(Self.tileSide, plan.decode.latent.shortSide)
        speeds.decodePixel = try timePixel(.decoder, side, [1, side, side, channels])
        if !plan.allEncodes.isEmpty {
            let pixels = side * plan.model.vaeFactor
            speeds.encodePixel = try timePixel(.encoder, side, [1, pixels, pixels, 3])
        }
        return speeds
    }

    /// Zeros in place of the network's picture input; nil if it has none.
    private func picture(_ latent: Extent) -> Tensor? {
        let channels = sampler.plan.model.pictureChannels
        return channels == 0 ? nil : Tensor(zeros: [1, latent.height, latent.width, channels])
    }

    /// Time to decode or encode one latent pixel, in seconds, for all workers together.
    private func timePixel(_ half: AutoencoderHalf, _ side: Int, _ shape: [Int]) throws -> Double {
        let count = max(1, statistics().count { $0.isActive })
        let tiles = (0..<count).map {
            WorkUnit.tile($0, half, Tensor(zeros: shape))
        }
        // The first evaluation loads the weights.
        _ = try renderer.evaluate(tiles) { _ in }
        let time = try ContinuousClock().measure { _ = try renderer.evaluate(tiles) { _ in } }
        return time / .seconds(1) / Double(side * side * count)
    }

    private func timeLastPhase(
        _ speeds: inout MeasuredSpeeds,
        noise: inout some NoiseSource
    ) throws {
        let (clock, plan) = (ContinuousClock(), sampler.plan)
        let last = plan.phases[plan.phases.count - 1]
        var state = SamplerState(
            latent: try noise.base(
                latent: plan.phases[0].phase.latent,
                channels: plan.model.latentChannels
            )
        )
        state.phase = plan.phases.count - 1
        // The cost does not depend on the picture's content.
        let picture = last.constraint.map {
            PhasePicture(
                latent: Tensor(
                    zeros: [1, $0.latent.height, $0.latent.width, plan.model.latentChannels]
                )
            )
        }
        if plan.enlargements[state.phase] != nil {
            // Decoding and encoding are timed separately.
            let latent = last.phase.latent
            try sampler.begin(
                &state,
                enlarged: Tensor(
                    zeros: [1, latent.height, latent.width, plan.model.latentChannels]
                ),
                noise,
                picture: picture
            )
        } else {
            let opening = try clock.measure { try sampler.open(&state, noise, picture: picture) }
            speeds.coordinatorPhase = opening / .seconds(1)
        }
        // The middle step evaluates both paths, if the phase has both.
        state.step = last.steps.lowerBound + last.steps.count / 2
        let start = clock.now
        let input = self.picture(last.phase.latent)
        let work = try sampler.work(for: state, picture: input, noise: &noise)
        // Zeros replace the predictions: the coordinator's part costs the same.
        let predictions = work.views.map {
            Tensor(zeros: $0.input.shape.dropLast() + [plan.model.latentChannels])
        }
        let fused = sampler.fuse(predictions, of: work, at: state)
        if state.step + 1 < last.steps.upperBound {
            _ = try sampler.advance(&state, work, prediction: fused, noise: noise)
        }
        speeds.coordinatorStep = (clock.now - start) / .seconds(1)

        let round = 2 * max(1, statistics().count { $0.isActive })
        // Views from all over the picture: those at its edges have different sizes.
        let stride = max(1, work.views.count / round)
        let views = (0..<round).map { work.views[$0 * stride % work.views.count] }
        _ = try renderer.evaluate(Array(views.prefix(round / 2))) { _ in }
        let before = statistics()
        let begin = clock.now
        var rounds = 0
        while rounds < Self.rounds.lowerBound
            || (rounds < Self.rounds.upperBound && clock.now - begin < .seconds(Self.seconds))
        {
            _ = try renderer.evaluate(views) { _ in }
            rounds += 1
        }
        let wall = (clock.now - begin) / .seconds(1)
        let area = views.reduce(0) { $0 + $1.input.shape[1] * $1.input.shape[2] }
        speeds.viewArea = max(1, area / views.count)
        speeds.evaluationsPerView = last.evaluationsPerView(at: state.step)
        speeds.workers = statistics().since(before).compactMap { worker in
            guard worker.views > 0 else { return nil }
            let busy = worker.busy / .seconds(1)
            return .init(name: worker.name, secondsPerView: busy / Double(worker.views))
        }
        // A worker's idle time between views counts too.
        let ideal = speeds.time(forViews: round) * Double(rounds)
        let waiting = ideal > 0 ? max(1, wall / ideal) : 1
        speeds.workers = speeds.workers.map {
            .init(name: $0.name, secondsPerView: $0.secondsPerView * waiting)
        }
    }
}
