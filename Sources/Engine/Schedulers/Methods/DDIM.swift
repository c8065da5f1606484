/// DDIM with η = 0 (Song et al., 2021, equation 12).
enum DDIM: SamplingMethod {
    static func run(
        _ config: SchedulerConfig,
        _ schedule: NoiseSchedule,
        steps count: Int
    ) -> Scheduler.Run {
        let timesteps = Timesteps.plain(
            config,
            spacing: config.spacing ?? .leading,
            steps: count,
            fractional: false
        ).map { min($0, Double(config.trainTimesteps - 1)) }
        let alphas = schedule.alphasCumprod
        let final: Float = config.setsAlphaToOne ? 1 : alphas[0]
        let steps = timesteps.map { t in
            let before = Int(t) - config.trainTimesteps / count
            let now = Double(alphas[Int(t)])
            let next = Double(before >= 0 ? alphas[before] : final)
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
