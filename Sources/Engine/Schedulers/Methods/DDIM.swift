/// DDIM with η = 0 (Song et al., 2021, equation 12).
enum DDIM: SamplingMethod {
    static func run(
        _ config: SchedulerConfig,
        _ schedule: NoiseSchedule,
        _ span: ScheduleSpan
    ) -> Scheduler.Run {
        let timesteps =
            Timesteps.ending(config, span)
            ?? Timesteps.plain(
                config,
                spacing: config.spacing ?? .leading,
                steps: span.steps,
                fractional: false
            ).map { min($0, Double(config.trainTimesteps - 1)) }
        let alphas = schedule.alphasCumprod
        let final: Float = config.setsAlphaToOne ? 1 : alphas[0]
        let steps = timesteps.indices.map { i in
            let now = Double(alphas[Int(timesteps[i])])
            let before: Int? =
                if span.share == nil {
                    Int(timesteps[i]) - config.trainTimesteps / span.steps
                } else {
                    i + 1 < timesteps.count ? Int(timesteps[i + 1]) : nil
                }
            let next = Double(before.flatMap { $0 >= 0 ? alphas[$0] : nil } ?? final)
            let level = NoiseLevel.variancePreserving(
                alpha: now.squareRoot(),
                sigma: (1 - now).squareRoot(),
                config.prediction
            )
            return Scheduler.Step(
                level: level,
                update: next.squareRoot() * .x0 + (1 - next).squareRoot() * level.epsilon
            )
        }
        return Scheduler.Run(timesteps: timesteps, steps: steps)
    }
}
