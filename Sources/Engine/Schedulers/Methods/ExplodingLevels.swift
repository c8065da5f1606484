import Foundation

/// The steps of Euler's method and related samplers, which see x = x₀ + σ·ε.
struct ExplodingLevels {
    private(set) var timesteps: [Double]
    /// Noise levels at which the steps begin.
    private(set) var levels: [Double]
    /// The level at which the last step ends, if the spacing determines it.
    private(set) var end: Double?
    /// log σ at every training timestep.
    let trainedLogs: [Float]
    private let isLeading: Bool

    init(
        _ config: SchedulerConfig,
        _ schedule: NoiseSchedule,
        _ span: ScheduleSpan,
        isAncestral: Bool = false
    ) {
        let spacing = config.spacing ?? .linspace
        (timesteps, levels) = config.laidOut(schedule, span) {
            Timesteps.plain(config, spacing: spacing, steps: span.steps, fractional: true)
        }
        isLeading = spacing == .leading && !config.isSGMUniform
        trainedLogs = schedule.sigmas.map { Float(log(Double($0))) }
        guard span.share == nil, !config.isSGMUniform else { return }
        // Diffusers' ancestral sampler does not support log-linear levels.
        if config.solver.isLogLinear, !isAncestral {
            let (low, high) = (Double(trainedLogs[0]), Double(trainedLogs[trainedLogs.count - 1]))
            let all = Timesteps.linspace(high, low, levels.count + 1).map { exp($0) }
            (levels, end) = (Array(all.dropLast()), all[all.count - 1])
        }
        let count = levels.count
        // Log-linear levels are respaced together with their end, as in Diffusers.
        if let given = config.levelSpacing?.levels(
            from: levels[0],
            to: end ?? levels[count - 1],
            steps: count
        ) {
            (levels, end) = (given, nil)
            timesteps = levels.map { timestep(of: $0) }
        }
    }

    /// The fractional training timestep of a noise level.
    func timestep(of sigma: Double) -> Double { LevelSpacing.timestep(of: sigma, in: trainedLogs) }

    /// A run with one evaluation per step.
    func run(
        _ config: SchedulerConfig,
        end: Double,
        update: (_ sigma: Double, _ next: Double) -> Update
    ) -> Scheduler.Run {
        run(config, end: end) { step in
            [Evaluation(step.now, [Transition(update(step.now, step.next))])]
        }
    }

    /// One evaluation of the network.
    struct Evaluation {
        let sigma: Double
        /// The timestep of an evaluation between two steps; nil for the step's own.
        let timestep: Double?
        let transitions: [Transition]

        init(_ sigma: Double, _ transitions: [Transition], timestep: Double? = nil) {
            (self.sigma, self.transitions, self.timestep) = (sigma, transitions, timestep)
        }
    }

    /// A step from one level to the next.
    struct Interval {
        let index: Int
        let now: Double
        let next: Double
        /// Timestep of the next level; 0 in the last step.
        let nextTimestep: Double
    }

    /// A run with one or more evaluations per step.
    func run(
        _ config: SchedulerConfig,
        end: Double,
        evaluations: (Interval) -> [Evaluation]
    ) -> Scheduler.Run {
        let sigmas = (levels + [end]).map { Float($0) }
        let (times, count) = (timesteps, levels.count)
        var run = Scheduler.Run(timesteps: [], sigmas: sigmas, steps: [])
        for i in 0..<count {
            let interval = Interval(
                index: i,
                now: Double(sigmas[i]),
                next: Double(sigmas[i + 1]),
                nextTimestep: i + 1 < count ? times[i + 1] : 0
            )
            for (part, evaluation) in evaluations(interval).enumerated() {
                run.timesteps.append(part == 0 ? times[i] : evaluation.timestep ?? times[i])
                run.steps.append(
                    Scheduler.Step(
                        level: .varianceExploding(sigma: evaluation.sigma, config.prediction),
                        transitions: evaluation.transitions,
                        isIntermediate: part > 0
                    )
                )
            }
        }
        let largest = Double(sigmas.max() ?? 1)
        run.initNoiseSigma = Float(isLeading ? (largest * largest + 1).squareRoot() : largest)
        return run
    }
}
