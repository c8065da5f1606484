/// Heun's method (Karras et al., 2022, algorithm 1 without churn): averages the slopes at the beginning and at the end
/// of Euler's step. Two evaluations per step, except for the last one.
enum Heun: SamplingMethod {
    static func run(
        _ kind: SchedulerKind,
        _ config: SchedulerConfig,
        _ schedule: NoiseSchedule,
        _ span: ScheduleSpan
    ) -> Scheduler.Run {
        ExplodingLevels(config, schedule, span).run(config, end: 0) { step in
            let dt = step.next - step.now
            let slope = (1 / step.now) * (Update.x - .x0)
            guard step.next > 0 else {
                return [.init(step.now, [Transition(.x + dt * slope)])]
            }
            let (start, first) = (Update.remembered(0), Update.remembered(1))
            let second = (1 / step.next) * (Update.x - .x0)
            return [
                .init(step.now, [Transition(.x + dt * slope, remembering: [.x, slope])]),
                .init(
                    step.next,
                    [Transition(start + 0.5 * dt * (first + second))],
                    timestep: step.nextTimestep
                ),
            ]
        }
    }
}
