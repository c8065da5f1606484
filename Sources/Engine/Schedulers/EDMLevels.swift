import Foundation

/// The noise levels of a model that was trained in the EDM formulation (Karras et al., 2022): x = x₀ + σ·ε, scaled to
/// unit variance for the network, which gets ¼·log σ in place of a timestep.
struct EDMLevels: Equatable, Sendable {
    let smallest: Double
    let largest: Double
    /// Standard deviation of the data, σ_data.
    let data: Double
    let rho: Double
    var isExponential: Bool

    /// Diffusers' schedulers for such models.
    static let classNames = ["EDMEulerScheduler", "EDMDPMSolverMultistepScheduler"]
    /// The samplers that support EDM's noise levels.
    static let kinds: [SchedulerKind] = [
        .euler, .dpmSolver, .dpmSolver3, .dpmSolverSDE, .dpmSolver3SDE, .dpmSolverOfFile,
    ]

    /// - Throws: `InputError` naming the option that is not supported
    init(_ reader: inout ConfigReader) throws(InputError) {
        smallest = try reader.double("sigma_min", default: 0.002, in: 1e-6...1)
        largest = try reader.double("sigma_max", default: 80, in: 1.1...1e6)
        data = try reader.double("sigma_data", default: 0.5, in: 1e-3...1e3)
        rho = try reader.double("rho", default: 7, in: 1...100)
        switch try reader.string("sigma_schedule", default: "karras") {
        case "karras": isExponential = false
        case "exponential": isExponential = true
        case let other:
            throw reader.fault(
                "sigma_schedule",
                "'\(other)' is not supported",
                fix: "Known are karras and exponential"
            )
        }
    }

    /// Rejects samplers and timestep settings that do not support EDM's noise levels.
    ///
    /// - Throws: `InputError` naming the flag
    static func check(_ kind: SchedulerKind, _ choice: ScheduleChoice) throws(InputError) {
        guard kinds.contains(kind) else {
            throw InputError(
                "--scheduler",
                "\(kind.rawValue) does not support the noise levels of this model (EDM)",
                fix: "Choose from " + kinds.map(\.rawValue).joined(separator: ", ")
            )
        }
        let isKnown = [nil, .karras, .exponential].contains(choice.levels)
        guard choice.spacing == nil, !choice.isSGMUniform, isKnown else {
            throw InputError(
                choice.spacing != nil
                    ? "--timestep-spacing" : choice.isSGMUniform ? "--sgm-uniform" : "--sigmas",
                "this model has no timesteps, but noise levels (EDM)",
                fix: "Leave it out, or use --sigmas karras or exponential"
            )
        }
    }

    /// The noise levels of a run, from the largest to the smallest.
    private func levels(_ span: ScheduleSpan, _ positions: Positions) -> [Double] {
        if let share = span.share { return positions.levels(share: share, steps: span.steps) }
        let parts = Timesteps.linspace(0, 1, span.steps)
        if isExponential {
            let (low, high) = (log(smallest), log(largest))
            return parts.map { exp(high + $0 * (low - high)) }
        }
        let (low, high) = (pow(smallest, 1 / rho), pow(largest, 1 / rho))
        return parts.map { pow(high + $0 * (low - high), rho) }
    }

    /// How the network reads a latent of noise level `sigma`, and what its output means.
    func level(_ sigma: Double, _ prediction: PredictionType) -> NoiseLevel {
        let variance = sigma * sigma + data * data
        let gain = sigma * data / variance.squareRoot()
        let (keep, output) = (data * data / variance, prediction == .epsilon ? gain : -gain)
        return NoiseLevel(
            clean: 1,
            noise: sigma,
            inputScale: 1 / variance.squareRoot(),
            fromLatent: keep,
            fromOutput: output,
            epsilon: ((1 - keep) / sigma) * .x - (output / sigma) * .output
        )
    }

    /// The network's input in place of a timestep.
    private static func timestep(_ sigma: Double) -> Double { 0.25 * log(sigma) }

    /// The noise level and timestep at which the network reads a clean latent.
    func cleanest(_ prediction: PredictionType) -> (level: NoiseLevel, timestep: Double) {
        (level(smallest, prediction), Self.timestep(smallest))
    }

    /// Timesteps, noise levels and updates of a run.
    func run(
        _ kind: SchedulerKind,
        _ config: SchedulerConfig,
        _ span: ScheduleSpan
    ) -> Scheduler.Run {
        let positions = Positions(data: data)
        let given = levels(span, positions)
        let end: Double
        switch config.finalSigma {
        case .zero: end = 0
        case .smallest: end = smallest
        }
        let sigmas = (given + [end]).map { Float($0) }
        let wide = sigmas.map(Double.init)
        let levels = wide.dropLast().map { level($0, config.prediction) }
        var run = Scheduler.Run(
            timesteps: wide.dropLast().map(Self.timestep),
            sigmas: sigmas,
            initNoiseSigma: Float((largest * largest + 1).squareRoot()),
            steps: []
        )
        run.positions = wide.dropLast().map(positions.timestep)
        if kind == .euler {
            run.steps = levels.indices.map { i in
                Scheduler.Step(
                    level: levels[i],
                    update: Euler.step(from: wide[i], to: wide[i + 1])
                )
            }
        } else {
            let solver = kind == .dpmSolverOfFile ? config.solver : SolverOptions(of: kind)
            run.steps = DPMSolverMultistep.steps(
                solver,
                at: wide.map { PreservingLevel(alpha: 1, sigma: $0) },
                levels,
                endsAtZero: end == 0
            )
        }
        return run
    }

    /// The training timesteps of Stable Diffusion XL with the same noise level. DemoFusion's weights and the end of a
    /// schedule are measured in these.
    struct Positions {
        static var count: Int { NoiseSchedule.stableDiffusion.alphasCumprod.count }
        private let logSigmas: [Float]
        private let sigmas: [Float]
        private let data: Double

        init(data: Double) {
            self.data = data
            sigmas = NoiseSchedule.stableDiffusion.sigmas
            logSigmas = sigmas.map { Float(log(Double($0))) }
        }

        func timestep(_ sigma: Double) -> Double {
            LevelSpacing.timestep(of: sigma / data, in: logSigmas)
        }

        /// Noise levels of trailing timesteps over the end of that schedule.
        func levels(share: Double, steps: Int) -> [Double] {
            Timesteps.ending(sigmas.count, share: share, steps: steps).map {
                data * Double(sigmas[Int($0)])
            }
        }
    }
}
