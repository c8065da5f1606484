/// Latent consistency models' multistep sampling (Luo et al., 2023).
enum LatentConsistency: SamplingMethod {
    static var drawsNoise: Bool { true }

    static func maxSteps(_ config: SchedulerConfig) -> Int { config.originalSteps }

    /// The standard deviation of the data, σ_data.
    private static let data = 0.5

    static func run(
        _ kind: SchedulerKind,
        _ config: SchedulerConfig,
        _ schedule: NoiseSchedule,
        _ span: ScheduleSpan
    ) -> Scheduler.Run {
        // As in ComfyUI: the network's estimate of the picture, noised to the next level.
        let chosen = config.chosenRun(schedule, span) { _, _, next in
            next.map { $0.alpha * .x0 + $0.sigma * .z } ?? .x0
        }
        if let chosen { return chosen }
        let timesteps = Timesteps.distilled(config, span)
        let alphas = schedule.alphasCumprod
        let steps = timesteps.indices.map { i in
            let now = Double(alphas[Int(timesteps[i])])
            // The consistency function: c_skip · x + c_out · x₀
            let scaled = timesteps[i] * config.timestepScaling
            let skip = data * data / (scaled * scaled + data * data)
            let out = scaled / (scaled * scaled + data * data).squareRoot()
            var update = skip * .x + out * .x0
            // All steps except the last add noise up to the next level.
            if i + 1 < timesteps.count {
                let next = Double(alphas[Int(timesteps[i + 1])])
                update = next.squareRoot() * update + (1 - next).squareRoot() * .z
            }
            return Scheduler.Step(
                level: .variancePreserving(
                    alpha: now.squareRoot(),
                    sigma: (1 - now).squareRoot(),
                    config.prediction
                ),
                update: update
            )
        }
        return Scheduler.Run(timesteps: timesteps, steps: steps)
    }
}
