/// Ancestral sampling (Ho et al., 2020, algorithm 2), with the smaller of its two variances.
enum DDPM: SamplingMethod {
    static var drawsNoise: Bool { true }

    static func run(
        _ kind: SchedulerKind,
        _ config: SchedulerConfig,
        _ schedule: NoiseSchedule,
        _ span: ScheduleSpan
    ) -> Scheduler.Run {
        let chosen = config.chosenRun(schedule, span) { _, now, next in
            update(now.alpha * now.alpha, next.map { $0.alpha * $0.alpha } ?? 1)
        }
        if let chosen { return chosen }
        let timesteps = Timesteps.whole(config, span)
        let alphas = schedule.alphasCumprod
        let steps = timesteps.indices.map { i in
            let now = Double(alphas[Int(timesteps[i])])
            let next = i + 1 < timesteps.count ? Double(alphas[Int(timesteps[i + 1])]) : 1
            return Scheduler.Step(
                level: .variancePreserving(
                    alpha: now.squareRoot(),
                    sigma: (1 - now).squareRoot(),
                    config.prediction
                ),
                update: update(now, next)
            )
        }
        return Scheduler.Run(timesteps: timesteps, steps: steps)
    }

    /// The update from one ᾱ to the next.
    private static func update(_ now: Double, _ next: Double) -> Update {
        let alpha = now / next
        let update =
            next.squareRoot() * (1 - alpha) / (1 - now) * .x0
            + alpha.squareRoot() * (1 - next) / (1 - now) * .x
        let variance = (1 - next) / (1 - now) * (1 - alpha)
        return variance > 0 ? update + variance.squareRoot() * .z : update
    }
}
