import Foundation

/// Euler's method on the probability-flow ODE (Karras et al., 2022, algorithm 1).
enum Euler: SamplingMethod {
    static var hasKarrasLevels: Bool { true }

    static func run(
        _ config: SchedulerConfig,
        _ schedule: NoiseSchedule,
        _ span: ScheduleSpan
    ) -> Scheduler.Run {
        var levels = EulerLevels(config, schedule, span)
        if config.karras && !config.isSGMUniform && span.share == nil {
            levels.spaceAsKarras(schedule)
        }
        return levels.run(config, end: config.finalLevel(schedule)) { sigma, next in
            step(from: sigma, to: next)
        }
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
        _ config: SchedulerConfig,
        _ schedule: NoiseSchedule,
        _ span: ScheduleSpan
    ) -> Scheduler.Run {
        EulerLevels(config, schedule, span).run(config, end: 0) { sigma, next in
            let up = next * ((sigma * sigma - next * next).squareRoot() / sigma)
            let down = (next * next - up * up).squareRoot()
            return Euler.step(from: sigma, to: down) + up * .z
        }
    }
}

/// Where both have their steps.
private struct EulerLevels {
    private var timesteps: [Double]
    private var levels: [Double]
    private let isLeading: Bool

    init(_ config: SchedulerConfig, _ schedule: NoiseSchedule, _ span: ScheduleSpan) {
        let spacing = config.spacing ?? .linspace
        (timesteps, levels) = config.laidOut(schedule, span) {
            Timesteps.plain(config, spacing: spacing, steps: span.steps, fractional: true)
        }
        isLeading = spacing == .leading && !config.isSGMUniform
    }

    mutating func spaceAsKarras(_ schedule: NoiseSchedule) {
        let count = levels.count
        levels = Karras.sigmas(from: levels[0], to: levels[count - 1], steps: count)
        let logs = schedule.sigmas.map { Float(log(Double($0))) }
        timesteps = levels.map { Karras.timestep(of: $0, in: logs) }
    }

    func run(
        _ config: SchedulerConfig,
        end: Double,
        update: (_ sigma: Double, _ next: Double) -> Update
    ) -> Scheduler.Run {
        let sigmas = (levels + [end]).map { Float($0) }
        let steps = levels.indices.map { i in
            let (sigma, next) = (Double(sigmas[i]), Double(sigmas[i + 1]))
            return Scheduler.Step(
                level: .varianceExploding(sigma: sigma, config.prediction),
                update: update(sigma, next)
            )
        }
        let largest = Double(sigmas.max() ?? 1)
        let start = isLeading ? (largest * largest + 1).squareRoot() : largest
        return Scheduler.Run(
            timesteps: timesteps,
            sigmas: sigmas,
            initNoiseSigma: Float(start),
            steps: steps
        )
    }
}
