import Foundation

/// DPM-Solver-2 as in Karras et al. (2022): the slope at the midpoint in log σ is used for the whole step. Two
/// evaluations per step, except for the last one.
enum DPM2: SamplingMethod {
    static func run(
        _ kind: SchedulerKind,
        _ config: SchedulerConfig,
        _ schedule: NoiseSchedule,
        _ span: ScheduleSpan
    ) -> Scheduler.Run {
        run(config, schedule, span) { ($1, 0) }
    }

    /// Runs either sampler. For a step from one level to the next, `split` returns the level to go down
    /// to and the noise to add back.
    static func run(
        _ config: SchedulerConfig,
        _ schedule: NoiseSchedule,
        _ span: ScheduleSpan,
        split: (_ sigma: Double, _ next: Double) -> (down: Double, up: Double)
    ) -> Scheduler.Run {
        let levels = ExplodingLevels(config, schedule, span)
        var run = levels.run(config, end: 0) { step in
            let slope = (1 / step.now) * (Update.x - .x0)
            let (down, up) = split(step.now, step.next)
            guard down > 0 else {
                return [.init(step.now, [Transition(.x + (step.next - step.now) * slope)])]
            }
            let middle = (step.now * down).squareRoot()
            var end =
                .remembered(0) + (down - step.now) / middle * (Update.x - .x0)
            if up > 0 { end = end + up * .z }
            return [
                .init(
                    step.now,
                    [Transition(.x + (middle - step.now) * slope, remembering: [.x])]
                ),
                .init(middle, [Transition(end)], timestep: levels.timestep(of: middle)),
            ]
        }
        if config.respacing(span) == .karras {
            // Like Diffusers, which rounds the timesteps of first evaluations.
            for i in run.steps.indices where !run.steps[i].isIntermediate {
                run.timesteps[i] = run.timesteps[i].rounded(.toNearestOrEven)
            }
        }
        return run
    }
}

/// DPM2 with noise added back after every step (k-diffusion's "DPM2 ancestral").
enum DPM2Ancestral: SamplingMethod {
    static var drawsNoise: Bool { true }

    static func run(
        _ kind: SchedulerKind,
        _ config: SchedulerConfig,
        _ schedule: NoiseSchedule,
        _ span: ScheduleSpan
    ) -> Scheduler.Run {
        DPM2.run(config, schedule, span, split: Ancestral.split)
    }
}

/// Ancestral steps.
enum Ancestral {
    /// Splits a step to `next` into one that goes further down and noise that is added back, with the
    /// variance of the reverse process.
    static func split(_ sigma: Double, _ next: Double) -> (down: Double, up: Double) {
        let up = min(next, next * ((sigma * sigma - next * next).squareRoot() / sigma))
        return ((next * next - up * up).squareRoot(), up)
    }
}
