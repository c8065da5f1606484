/// Trajectory consistency distillation's strategic stochastic sampling (Zheng et al., 2024, algorithm 4).
enum TrajectoryConsistency: SamplingMethod {
    static var drawsNoise: Bool { true }

    /// γ: how far each step overshoots the next timestep, as a share of it, before noise is added back.
    private static let gamma = 0.3

    static func maxSteps(_ config: SchedulerConfig) -> Int { config.originalSteps }

    static func run(
        _ kind: SchedulerKind,
        _ config: SchedulerConfig,
        _ schedule: NoiseSchedule,
        _ span: ScheduleSpan
    ) -> Scheduler.Run {
        let timesteps = Timesteps.distilled(config, span)
        let alphas = schedule.alphasCumprod
        let steps = timesteps.indices.map { i in
            let isLast = i + 1 == timesteps.count
            let following = isLast ? 0 : timesteps[i + 1]
            let now = Double(alphas[Int(timesteps[i])])
            let below = Double(alphas[Int(((1 - gamma) * following).rounded(.down))])
            let next = Double(alphas[Int(following)])
            let level = NoiseLevel.variancePreserving(
                alpha: now.squareRoot(),
                sigma: (1 - now).squareRoot(),
                config.prediction
            )
            var update = below.squareRoot() * .x0 + (1 - below).squareRoot() * level.epsilon
            if !isLast {
                let keep = next / below
                update = keep.squareRoot() * update + (1 - keep).squareRoot() * .z
            }
            return Scheduler.Step(level: level, update: update)
        }
        return Scheduler.Run(timesteps: timesteps, steps: steps)
    }
}
