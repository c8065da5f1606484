import Foundation

/// DPM-Solver++ of second order, multistep, midpoint (Lu et al., 2022, algorithm 2).
enum DPMSolverMultistep: SamplingMethod {
    static var hasKarrasLevels: Bool { true }
    static var remembersEstimate: Bool { true }

    static func run(
        _ config: SchedulerConfig,
        _ schedule: NoiseSchedule,
        _ span: ScheduleSpan
    ) -> Scheduler.Run {
        let spacing = config.spacing ?? .linspace
        let (trained, count) = (schedule.sigmas, span.steps)
        var (timesteps, levels) = config.laidOut(schedule, span) {
            Timesteps.multistep(config, spacing: spacing, steps: count)
        }
        if config.karras && !config.isSGMUniform && span.share == nil {
            let (largest, smallest) = (trained[trained.count - 1], trained[0])
            levels = Karras.sigmas(from: Double(largest), to: Double(smallest), steps: count)
            let logs = trained.map { Float(log(Double($0))) }
            timesteps = levels.map { Karras.timestep(of: $0, in: logs).rounded(.toNearestOrEven) }
        }
        let sigmas = (levels + [config.finalLevel(schedule)]).map { Float($0) }
        // Diffusers' `lower_order_final`: always with a final σ of 0, else in short runs.
        let endsInFirstOrder = config.finalSigma == .zero || count < 15
        // α, σ and λ = log(α/σ) of a level.
        func at(_ i: Int) -> (alpha: Double, sigma: Double, lambda: Double) {
            let s = Double(sigmas[i])
            let alpha = 1 / (s * s + 1).squareRoot()
            return (alpha, s * alpha, -log(s))
        }
        let steps = (0..<count).map { i in
            let (now, next) = (at(i), at(i + 1))
            // x′ = σ′/σ · x + α′ (1 − e^−h) · D
            let h = next.lambda - now.lambda
            let gain = -next.alpha * expm1(-h)
            var update = next.sigma / now.sigma * .x + gain * .x0
            // D = x₀ + (x₀ − x₀ of the previous step)/2r; the history is empty at first.
            if i > 0 && (i < count - 1 || !endsInFirstOrder) {
                let r = (now.lambda - at(i - 1).lambda) / h
                update = update + 0.5 * gain / r * (.x0 - .previousX0)
            }
            return Scheduler.Step(
                level: .variancePreserving(
                    alpha: now.alpha,
                    sigma: now.sigma,
                    config.prediction
                ),
                update: update
            )
        }
        return Scheduler.Run(timesteps: timesteps, sigmas: sigmas, steps: steps)
    }
}
