import Foundation

/// Euler's method on the probability-flow ODE (Karras et al., 2022, algorithm 1).
enum Euler: SamplingMethod {
    static func run(
        _ kind: SchedulerKind,
        _ config: SchedulerConfig,
        _ schedule: NoiseSchedule,
        _ span: ScheduleSpan
    ) -> Scheduler.Run {
        let levels = ExplodingLevels(config, schedule, span)
        let end = levels.end ?? config.finalLevel(schedule)
        return levels.run(config, end: end) { sigma, next in step(from: sigma, to: next) }
    }

    /// x + (x − x₀)/σ · (σ′ − σ)
    static func step(from sigma: Double, to next: Double) -> Update {
        .x + (next - sigma) / sigma * (.x - .x0)
    }
}

/// Euler's method with noise added back after every step (k-diffusion's "Euler ancestral").
enum EulerAncestral: SamplingMethod {
    static var drawsNoise: Bool { true }

    static func run(
        _ kind: SchedulerKind,
        _ config: SchedulerConfig,
        _ schedule: NoiseSchedule,
        _ span: ScheduleSpan
    ) -> Scheduler.Run {
        ExplodingLevels(config, schedule, span, isAncestral: true).run(config, end: 0) {
            sigma,
            next in
            let up = next * ((sigma * sigma - next * next).squareRoot() / sigma)
            let down = (next * next - up * up).squareRoot()
            return Euler.step(from: sigma, to: down) + up * .z
        }
    }
}
