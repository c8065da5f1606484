/// DDIM with η = 0 (Song et al., 2021, equation 12).
enum DDIM: SamplingMethod {
    static func run(
        _ kind: SchedulerKind,
        _ config: SchedulerConfig,
        _ schedule: NoiseSchedule,
        _ span: ScheduleSpan
    ) -> Scheduler.Run {
        let chosen = config.chosenRun(schedule, span) { level, _, next in
            guard let next else { return .x0 }
            return next.alpha * .x0 + next.sigma * level.epsilon
        }
        if let chosen { return chosen }
        let timesteps = Timesteps.whole(config, span)
        let alphas = schedule.alphasCumprod
        let final: Float = config.setsAlphaToOne ? 1 : alphas[0]
        let steps = timesteps.indices.map { i in
            let now = Double(alphas[Int(timesteps[i])])
            let before = Timesteps.following(i, of: timesteps, config, span)
            let next = Double(before.map { alphas[$0] } ?? final)
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
