import Foundation

/// Samplers. The raw values are the command line's names.
package enum SchedulerKind: String, CaseIterable, Sendable {
    case ddim
    case ddpm
    case pndm
    case euler
    case eulerAncestral = "euler_a"
    case heun
    case dpm2
    case dpm2Ancestral = "dpm2_a"
    case lms
    case dpmSolver = "dpmpp_2m"
    case dpmSolver3 = "dpmpp_3m"
    case dpmSolverSDE = "dpmpp_2m_sde"
    case dpmSolver3SDE = "dpmpp_3m_sde"
    case dpmSDE = "dpmpp_sde"
    /// DPM-Solver with the order and the variant that the model's file specifies.
    case dpmSolverOfFile = "dpm_multistep"
    case uniPC = "unipc"
    case deis
    case lcm
    case tcd
}

/// Noise levels other than those of evenly spaced timesteps.
package enum LevelSpacing: String, CaseIterable, Sendable {
    /// Equal steps of σ^(1/7) (Karras et al., 2022, equation 5).
    case karras
    /// Equal steps of log σ.
    case exponential
    /// Quantiles of a beta distribution (α = β = 0.6) between the lowest and the highest level (Lee et al., 2024).
    case beta
    /// Equally spaced, possibly fractional timesteps from the last training timestep down.
    case sgmUniform = "sgm_uniform"
    /// Evenly spaced entries of the training schedule, from the last one down.
    case simple
    /// Noise levels that were optimised for the model's family (Sabour et al., 2024), with log
    /// σ interpolated between them.
    case alignYourSteps = "ays"
    /// The Align Your Steps levels for SDXL, for any model.
    case alignYourStepsXL = "ays_sdxl"
}

/// What the network predicts.
package enum PredictionType: String, CaseIterable, Sendable {
    /// The noise ε.
    case epsilon
    /// The velocity v = √ᾱ·ε − √(1−ᾱ)·x₀ (Salimans and Ho, 2022).
    case vPrediction = "v_prediction"
}

/// How timesteps are spaced over the training schedule (Lin et al., 2023, table 2).
package enum TimestepSpacing: String, CaseIterable, Sendable {
    case leading
    case trailing
    case linspace
}

/// The noise level that the last step ends at.
package enum FinalSigma: String, CaseIterable, Sendable {
    /// Zero: the clean latent itself.
    case zero
    /// The lowest level that the network was trained on.
    case smallest = "sigma_min"
}

/// The user's timestep settings; nil leaves a setting to the model's file.
package struct ScheduleChoice: Equatable, Sendable {
    package var spacing: TimestepSpacing?
    package var finalSigma: FinalSigma?
    /// Equally spaced, possibly fractional timesteps from the last training timestep down, called
    /// "SGM uniform" in other programs.
    package var isSGMUniform: Bool
    /// Spacing of the noise levels, in place of the model's own.
    package var levels: LevelSpacing?

    package init(
        spacing: TimestepSpacing? = nil,
        finalSigma: FinalSigma? = nil,
        isSGMUniform: Bool = false,
        levels: LevelSpacing? = nil
    ) {
        (self.spacing, self.finalSigma) = (spacing, finalSigma)
        (self.isSGMUniform, self.levels) = (isSGMUniform, levels)
    }

    /// Rejects settings that a scheduler does not support.
    ///
    /// - Throws: `InputError` naming the flag
    package func check(_ kind: SchedulerKind, karras: Bool) throws(InputError) {
        func refusal(_ flag: String, _ kinds: String) -> InputError {
            InputError(flag, "\(kind.rawValue) does not support it", fix: "Use it with \(kinds)")
        }
        if levels != nil, let reason = kind.ownTimesteps { throw reason.error("--sigmas") }
        if let levels, isSGMUniform || karras, !(karras && levels == .karras) {
            throw InputError(
                "--sigmas",
                "\(karras ? "--karras" : "--sgm-uniform") also sets the noise levels",
                fix: "Choose one of them"
            )
        }
        if isSGMUniform {
            if let reason = kind.ownTimesteps { throw reason.error("--sgm-uniform") }
            guard spacing == nil, !karras else {
                throw InputError(
                    "--sgm-uniform",
                    "\(karras ? "--karras" : "--timestep-spacing") also sets the timesteps",
                    fix: "Choose one of them"
                )
            }
        }
        if spacing != nil, kind == .lcm || kind == .tcd {
            throw refusal("--timestep-spacing", "another --scheduler")
        }
        if finalSigma != nil, !kind.hasFinalSigma {
            throw refusal("--final-sigma", "--scheduler ddim, euler or dpmpp_2m")
        }
        if kind == .ddim, finalSigma == .smallest, levels != nil || isSGMUniform || karras {
            throw InputError(
                "--final-sigma",
                "over noise levels that are laid out otherwise ddim ends at a clean latent",
                fix: "Leave it out"
            )
        }
    }
}

/// The reason why a sampler only works with its own timesteps.
struct OwnTimesteps {
    let kind: SchedulerKind
    /// The reason, as a clause for the error message.
    let reason: String

    /// The error for a flag that asks for other noise levels.
    func error(_ flag: String) -> InputError {
        InputError(
            flag,
            "\(kind.rawValue) cannot use other noise levels: \(reason)",
            fix: "Leave it out, or choose another --scheduler, such as euler or ddim"
        )
    }
}

extension SchedulerKind {
    /// Why its noise levels cannot be chosen; nil if they can.
    var ownTimesteps: OwnTimesteps? {
        switch self {
        case .pndm:
            OwnTimesteps(
                kind: self,
                reason: "its weights of earlier steps are those of evenly spaced timesteps"
            )
        case .tcd:
            OwnTimesteps(kind: self, reason: "models are distilled for its own timesteps")
        default: nil
        }
    }

    /// Whether the file's spacing of noise levels is used; Diffusers' class for the other samplers has no such option.
    var readsSpacing: Bool {
        switch self {
        case .ddim, .ddpm, .pndm, .eulerAncestral, .lcm, .tcd: false
        default: true
        }
    }

    /// Whether the level that its last step ends at can be chosen.
    var hasFinalSigma: Bool {
        switch self {
        case .ddim, .pndm, .euler, .dpmSolver, .dpmSolver3, .dpmSolverSDE, .dpmSolver3SDE,
            .dpmSolverOfFile, .uniPC:
            true
        default: false
        }
    }
}

/// A `scheduler_config.json`, written by any scheduler class. Any of our samplers can be built from it, as
/// with Diffusers' `from_config`.
package struct SchedulerConfig: Equatable, Sendable {
    /// The sampler that the file names.
    package let defaultKind: SchedulerKind
    package let trainTimesteps: Int
    package var prediction: PredictionType
    /// Spacing of noise levels; nil for evenly spaced timesteps.
    package var levelSpacing: LevelSpacing?
    /// The solver that the file describes.
    let solver: SolverOptions
    /// Why the file's own sampler cannot be used; another one can still be chosen.
    package let refusal: InputError?
    let betas: Betas
    let rescalesToZeroSNR: Bool
    /// Whether the training schedule ends in pure noise (zero terminal SNR).
    package var startsAtPureNoise: Bool { rescalesToZeroSNR }
    let stepsOffset: Int
    /// The file's setting; if nil, each sampler uses its own default.
    package private(set) var spacing: TimestepSpacing?
    /// The final σ of Euler and DPM-Solver++.
    private(set) var finalSigma: FinalSigma
    /// The final σ of DDIM.
    private(set) var setsAlphaToOne: Bool
    private(set) var isSGMUniform = false
    let originalSteps: Int
    let timestepScaling: Double
    /// EDM's noise levels, if the model was trained on them; `betas` are then unused.
    private(set) var edm: EDMLevels?
    /// The model's family, which determines the published noise levels; nil if unknown.
    package var family: ModelFamily?

    /// The β schedule of the training.
    enum Betas: Equatable, Sendable {
        case linear(Double, Double)
        case scaledLinear(Double, Double)
        case trained([Float])
    }

    /// - Throws: `InputError` naming the option that is unknown or not supported
    package init(file: String) throws(InputError) {
        var reader = try ConfigReader(file: file)
        try self.init(&reader)
    }

    /// Reads all fields and checks that none are left over.
    ///
    /// - Throws: `InputError` naming the option that is unknown or not supported
    package init(_ reader: inout ConfigReader) throws(InputError) {
        let name = try reader.string("_class_name", default: "DDIMScheduler")
        let known = SchedulerKind(className: name)
        refusal =
            known == nil
            ? reader.fault(
                "_class_name",
                "the scheduler '\(name)' is not supported",
                fix: "Choose one with --scheduler: "
                    + SchedulerKind.allCases.map(\.rawValue).joined(separator: ", ")
            ) : nil
        trainTimesteps = try reader.int(
            "num_train_timesteps",
            default: 1000,
            in: 2...100_000
        )
        prediction = try Self.choice(&reader, "prediction_type", .epsilon)
        spacing = try Self.choice(&reader, "timestep_spacing", nil)
        finalSigma = try Self.choice(&reader, "final_sigmas_type", .zero)
        levelSpacing = try Self.levelSpacing(&reader)
        rescalesToZeroSNR = try reader.bool("rescale_betas_zero_snr", default: false)
        stepsOffset = try reader.int(
            "steps_offset",
            default: 0,
            in: 0...trainTimesteps - 1
        )
        setsAlphaToOne = try reader.bool("set_alpha_to_one", default: name != "PNDMScheduler")
        originalSteps = try reader.int(
            "original_inference_steps",
            default: min(50, trainTimesteps),
            in: 1...trainTimesteps
        )
        timestepScaling = try reader.double("timestep_scaling", default: 10, in: 0...1e6)
        betas = try Self.betas(&reader, count: trainTimesteps)
        edm = try EDMLevels.classNames.contains(name) ? EDMLevels(&reader) : nil
        guard let known else {
            // The file's other options are of no use to the sampler that replaces its own.
            (defaultKind, solver) = (.ddim, SolverOptions())
            return
        }
        solver = try SolverOptions(&reader, of: name)
        defaultKind = known == .dpmSolver ? solver.kind : known
        try Self.refuseOthers(&reader, isEDM: edm != nil)
        try reader.finish()
    }

    /// Whether the model was trained on Stable Diffusion's noise schedule.
    package var hasStandardTraining: Bool {
        edm == nil && NoiseSchedule(self) == NoiseSchedule.stableDiffusion
    }

    /// Drops the file's spacing of noise levels.
    mutating func dropSpacing() { levelSpacing = nil }

    /// Applies the user's settings.
    mutating func apply(_ choice: ScheduleChoice) {
        spacing = choice.spacing ?? spacing
        if let levels = choice.levels { edm?.isExponential = levels == .exponential }
        isSGMUniform = choice.isSGMUniform || choice.levels == .sgmUniform
        if let levels = choice.levels { levelSpacing = levels == .sgmUniform ? nil : levels }
        guard let final = choice.finalSigma else { return }
        (finalSigma, setsAlphaToOne) = (final, final == .zero)
    }

    private static func levelSpacing(
        _ reader: inout ConfigReader
    ) throws(InputError) -> LevelSpacing? {
        let flags: [(String, LevelSpacing)] = [
            ("use_karras_sigmas", .karras), ("use_exponential_sigmas", .exponential),
            ("use_beta_sigmas", .beta),
        ]
        var found: LevelSpacing?
        for (key, spacing) in flags where try reader.bool(key, default: false) {
            guard found == nil else {
                throw reader.fault(
                    key,
                    "the file sets \(found.map { "'\($0.rawValue)'" } ?? "") levels, too",
                    fix: "Keep one of the two"
                )
            }
            found = spacing
        }
        return found
    }

    static func choice<T: RawRepresentable & CaseIterable>(
        _ reader: inout ConfigReader,
        _ key: String,
        _ fallback: T
    ) throws(InputError) -> T where T.RawValue == String {
        try choice(&reader, key, Optional(fallback)) ?? fallback
    }

    static func choice<T: RawRepresentable & CaseIterable>(
        _ reader: inout ConfigReader,
        _ key: String,
        _ fallback: T?
    ) throws(InputError) -> T? where T.RawValue == String {
        guard let name = try reader.optionalString(key) else { return fallback }
        guard let value = T(rawValue: name) else {
            let known = T.allCases.map(\.rawValue).joined(separator: ", ")
            throw reader.fault(key, "'\(name)' is not supported", fix: "Choose one of \(known)")
        }
        return value
    }

    /// Valid range of β, the variance added by one training timestep.
    private static let betaRange = 1e-9...0.999

    private static func betas(
        _ reader: inout ConfigReader,
        count: Int
    ) throws(InputError) -> Betas {
        let start = try reader.double("beta_start", default: 0.0001, in: Self.betaRange)
        let end = try reader.double("beta_end", default: 0.02, in: Self.betaRange)
        let schedule = try reader.string("beta_schedule", default: "linear")
        if let given = reader.value("trained_betas") {
            let trained = given.array ?? []
            let values = trained.compactMap { $0.number.map { Float($0) } }
            guard values.count == count, trained.count == count,
                values.allSatisfy({ $0 > 0 && $0 < 1 })
            else {
                throw reader.fault(
                    "trained_betas",
                    "it is not \(count) numbers between 0 and 1",
                    fix: "Compare with the model's original file"
                )
            }
            return .trained(values)
        }
        switch schedule {
        case "linear": return .linear(start, end)
        case "scaled_linear": return .scaledLinear(start, end)
        default:
            throw reader.fault(
                "beta_schedule",
                "'\(schedule)' is not supported",
                fix: "Choose one of linear and scaled_linear"
            )
        }
    }

    /// Handles the remaining options of the known schedulers: those with a single supported value, and those that make
    /// no difference for our samplers.
    private static func refuseOthers(
        _ reader: inout ConfigReader,
        isEDM: Bool
    ) throws(InputError) {
        let off = [
            "clip_sample", "thresholding", "use_lu_lambdas", "use_flow_sigmas",
            "use_dynamic_shifting",
        ]
        for key in off { try reader.expect(key, [.bool(false)]) }
        try reader.expect("timestep_type", [.string("discrete")])
        try reader.expect("variance_type", [.string("fixed_small")])
        try reader.expect("lambda_min_clipped", [.number(-.infinity)])
        try reader.expect("shift_terminal", [])
        try reader.expect("solver_p", [])
        try reader.expect("disable_corrector", [.array([])])
        if !isEDM { for key in ["sigma_min", "sigma_max"] { try reader.expect(key, []) } }
        reader.ignore(
            "clip_sample_range",
            "dynamic_thresholding_ratio",
            "sample_max_value",
            "flow_shift",
            "time_shift_type",
            "noise_sampler_seed",
            "eta",
            "use_clipped_model_output"
        )
    }
}
