import Foundation

/// DPM-Solver and DPM-Solver++, multistep, of orders 1 to 3 (Lu et al., 2022, both papers; the stochastic variants
/// follow Diffusers and k-diffusion).
enum DPMSolverMultistep: SamplingMethod {
    static func run(
        _ kind: SchedulerKind,
        _ config: SchedulerConfig,
        _ schedule: NoiseSchedule,
        _ span: ScheduleSpan
    ) -> Scheduler.Run {
        let solver = kind == .dpmSolverOfFile ? config.solver : SolverOptions(of: kind)
        let isZero = config.finalSigma == .zero && solver.algorithm.predictsData
        let (timesteps, sigmas) = config.multistepLevels(
            schedule,
            span,
            end: isZero ? 0 : Double(schedule.sigmas[0])
        )
        let levels = sigmas.map { PreservingLevel(ratio: Double($0)) }
        return Scheduler.Run(
            timesteps: timesteps,
            sigmas: sigmas,
            steps: steps(
                solver,
                at: levels,
                levels.dropLast().map { $0.noiseLevel(config.prediction) },
                endsAtZero: isZero
            )
        )
    }

    /// The steps of a run.
    ///
    /// - Parameters:
    ///   - solver: the solver's options
    ///   - levels: the levels at which the steps begin, and the one at which the last step ends
    ///   - read: how the network reads the latent at each step
    ///   - endsAtZero: whether the last step ends at a clean latent
    /// - Returns: one step for each level except the last
    static func steps(
        _ solver: SolverOptions,
        at levels: [PreservingLevel],
        _ read: [NoiseLevel],
        endsAtZero: Bool
    ) -> [Scheduler.Step] {
        let count = read.count
        let isShort = solver.lowersOrderAtEnd && count < 15
        return (0..<count).map { i in
            var order = min(solver.order, i + 1)
            // Diffusers' `lower_order_final`: always if the final σ is 0, else only in short runs.
            if i == count - 1, solver.endsWithEuler || isShort || endsAtZero { order = 1 }
            if i == count - 2, isShort { order = min(order, 2) }
            let level = read[i]
            let current: Update = solver.algorithm.predictsData ? .x0 : level.epsilon
            // m₀ belongs to this step, m₁ and m₂ to the previous ones.
            let kept = [current] + (0..<max(0, solver.order - 1)).map { Update.remembered($0) }
            return Scheduler.Step(
                level: level,
                transitions: (1...order).map { order in
                    let models = Array(kept.prefix(order))
                    return Transition(
                        update(solver, levels, at: i, models),
                        remembering: Array(kept.prefix(min(order, solver.order - 1)))
                    )
                }
            )
        }
    }

    private static func update(
        _ solver: SolverOptions,
        _ levels: [PreservingLevel],
        at i: Int,
        _ m: [Update]
    ) -> Update {
        let (now, next) = (levels[i], levels[i + 1])
        let h = next.lambda - now.lambda
        // x′ = keep · x + a · m₀ + b · D₁ + c · D₂ + noise · z
        let isStochastic = solver.algorithm.isStochastic
        // Twice the distance for the stochastic variants, which replace half of the noise.
        let k = isStochastic ? 2 * h : h
        let (keep, a, noise): (Double, Double, Double)
        let (b, c): (Double, Double)
        if solver.algorithm.predictsData {
            let ratio = next.sigma / now.sigma
            keep = isStochastic ? ratio * exp(-h) : ratio
            a = -next.alpha * expm1(-k)
            b =
                solver.secondOrder == .heun || m.count > 2
                ? next.alpha * (expm1(-k) / k + 1) : 0.5 * a
            c = -next.alpha * ((expm1(-k) + k) / (k * k) - 0.5)
            noise = isStochastic ? next.sigma * (-expm1(-2 * h)).squareRoot() : 0
        } else {
            let gain = -next.sigma * expm1(h) * (isStochastic ? 2 : 1)
            (keep, a) = (next.alpha / now.alpha, gain)
            let heun = -next.sigma * (expm1(h) / h - 1) * (isStochastic ? 2 : 1)
            b = solver.secondOrder == .heun || m.count > 2 ? heun : 0.5 * gain
            c = -next.sigma * ((expm1(h) - h) / (h * h) - 0.5)
            noise = isStochastic ? next.sigma * expm1(2 * h).squareRoot() : 0
        }
        var update = keep * .x + a * m[0]
        if noise != 0 { update = update + noise * .z }
        guard m.count > 1 else { return update }
        let r0 = (now.lambda - levels[i - 1].lambda) / h
        let slope = (1 / r0) * (m[0] - m[1])
        guard m.count > 2 else { return update + b * slope }
        let r1 = (levels[i - 1].lambda - levels[i - 2].lambda) / h
        let bend = (1 / (r0 + r1)) * (slope - (1 / r1) * (m[1] - m[2]))
        return update + b * (slope + r0 * bend) + c * bend
    }
}
