/// Ancestral sampling (Ho et al., 2020, algorithm 2), with the smaller of its two variances.
enum DDPM: SamplingMethod {
    static var drawsNoise: Bool { true }

    static func run(
        _ kind: SchedulerKind,
        _ config: SchedulerConfig,
        _ schedule: NoiseSchedule,
        _ span: ScheduleSpan
    ) -> Scheduler.Run {
        let timesteps = Timesteps.whole(config, span)
        let alphas = schedule.alphasCumprod
        let steps = timesteps.indices.map { i in
            let now = Double(alphas[Int(timesteps[i])])
            let next = i + 1 < timesteps.count ? Double(alphas[Int(timesteps[i + 1])]) : 1
            let alpha = now / next
            var update =
                next.squareRoot() * (1 - alpha) / (1 - now) * .x0
                + alpha.squareRoot() * (1 - next) / (1 - now) * .x
            let variance = (1 - next) / (1 - now) * (1 - alpha)
            if variance > 0 { update = update + variance.squareRoot() * .z }
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
