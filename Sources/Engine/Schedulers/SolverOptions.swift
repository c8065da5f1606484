/// What a scheduler's file says about a multistep solver.
struct SolverOptions: Equatable, Sendable {
    /// Which integral is solved (of the predicted noise, or for `++` of the clean latent), and whether fresh
    /// noise is added in every step.
    enum Algorithm: String, CaseIterable, Sendable {
        case noise = "dpmsolver"
        case data = "dpmsolver++"
        case noiseSDE = "sde-dpmsolver"
        case dataSDE = "sde-dpmsolver++"

        var isStochastic: Bool { self == .noiseSDE || self == .dataSDE }
        var predictsData: Bool { self == .data || self == .dataSDE }
    }

    /// The variant of the second-order update.
    enum Kind: String, CaseIterable, Sendable {
        case midpoint, heun
        /// UniPC's two choices of B(h).
        case bh1, bh2
        /// The only choice for DEIS.
        case logrho
    }

    var algorithm = Algorithm.data
    var secondOrder = Kind.midpoint
    /// Whether UniPC uses B₁(h).
    var usesBH1 = false
    var predictsX0 = true
    var order = 2
    /// Whether short runs end with lower orders.
    var lowersOrderAtEnd = true
    var endsWithEuler = false
    /// Whether Euler's noise levels are equally spaced in log σ.
    var isLogLinear = false

    init() {}

    /// - Throws: `InputError` naming the option that is not supported
    init(_ reader: inout ConfigReader, of name: String) throws(InputError) {
        let type = try reader.string("algorithm_type", default: "dpmsolver++")
        // Like Diffusers, which reads one solver's file as another's.
        guard let found = type == "deis" ? .data : Algorithm(rawValue: type) else {
            throw reader.fault(
                "algorithm_type",
                "'\(type)' is not supported",
                fix: "Choose one of " + Algorithm.allCases.map(\.rawValue).joined(separator: ", ")
            )
        }
        algorithm = found
        let kind = try SchedulerConfig.choice(&reader, "solver_type", Kind.midpoint)
        secondOrder = kind == .heun ? .heun : .midpoint
        usesBH1 = kind == .bh1
        predictsX0 = try reader.bool("predict_x0", default: true)
        order = try reader.int("solver_order", default: 2, in: 1...3)
        lowersOrderAtEnd = try reader.bool("lower_order_final", default: true)
        endsWithEuler = try reader.bool("euler_at_final", default: false)
        switch try reader.string("interpolation_type", default: "linear") {
        case "linear": isLogLinear = false
        case "log_linear": isLogLinear = true
        case let other:
            throw reader.fault(
                "interpolation_type",
                "'\(other)' is not supported",
                fix: "Choose one of linear and log_linear"
            )
        }
        if order == 3, algorithm == .noiseSDE {
            throw reader.fault(
                "solver_order",
                "sde-dpmsolver has no third order",
                fix: "Write 2"
            )
        }
        let skips = try reader.bool("skip_prk_steps", default: true)
        if name == "PNDMScheduler", !skips {
            throw reader.fault(
                "skip_prk_steps",
                "Runge-Kutta steps are not supported",
                fix: "Write true, as Stable Diffusion's own file does"
            )
        }
    }

    /// The sampler that a DPM-Solver file describes; if it is a common one, under its own name.
    var kind: SchedulerKind {
        if self == SolverOptions(of: .dpmSolver) { return .dpmSolver }
        if self == SolverOptions(of: .dpmSolverSDE) { return .dpmSolverSDE }
        return .dpmSolverOfFile
    }

    /// The options of a common sampler.
    init(of kind: SchedulerKind) {
        switch kind {
        case .dpmSolver3: order = 3
        case .dpmSolverSDE: algorithm = .dataSDE
        // As in k-diffusion, where only the last step is of lower order.
        case .dpmSolver3SDE: (algorithm, order, secondOrder) = (.dataSDE, 3, .heun)
        default: break
        }
        lowersOrderAtEnd = kind != .dpmSolver3SDE
    }
}
