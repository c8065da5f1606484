import Foundation

extension Scheduler.Step {
    /// Sets the estimate of x₀ for a latent α·x₀ + σ·ε with α² + σ² = 1.
    fileprivate mutating func estimateFrom(
        alpha: Double,
        sigma: Double,
        _ prediction: PredictionType
    ) {
        switch prediction {
        case .epsilon: (fromLatent, fromOutput) = (1 / alpha, -sigma / alpha)
        case .vPrediction: (fromLatent, fromOutput) = (alpha, -sigma)
        }
    }
}

extension SchedulerConfig {
    /// The noise level after the last step.
    fileprivate func finalLevel(_ trained: [Float]) -> Double {
        finalSigma == .zero ? 0 : Double(trained[0])
    }
}

extension Scheduler.Run {
    /// DDIM with η = 0 (Song et al., 2021, equation 12).
    static func ddim(_ config: SchedulerConfig, _ schedule: NoiseSchedule, _ count: Int) -> Self {
        let timesteps = Timesteps.plain(
            config,
            spacing: config.spacing ?? .leading,
            steps: count,
            fractional: false
        ).map { min($0, Double(config.trainTimesteps - 1)) }
        let alphas = schedule.alphasCumprod
        let final: Float = config.setsAlphaToOne ? 1 : alphas[0]
        let steps = timesteps.map { t in
            let before = Int(t) - config.trainTimesteps / count
            let now = Double(alphas[Int(t)])
            let next = Double(before >= 0 ? alphas[before] : final)
            let (alpha, sigma) = (now.squareRoot(), (1 - now).squareRoot())
            var step = Scheduler.Step()
            (step.clean, step.noise) = (alpha, sigma)
            step.estimateFrom(alpha: alpha, sigma: sigma, config.prediction)
            step.estimate = next.squareRoot()
            let direction = (1 - next).squareRoot()
            switch config.prediction {
            case .epsilon: step.output = direction
            case .vPrediction: (step.keep, step.output) = (direction * sigma, direction * alpha)
            }
            return step
        }
        return Self(timesteps: timesteps, steps: steps)
    }

    /// Euler's method on the probability flow, and its ancestral form (Karras et al., 2022).
    static func euler(
        _ config: SchedulerConfig,
        _ schedule: NoiseSchedule,
        _ count: Int,
        ancestral: Bool
    ) -> Self {
        let spacing = config.spacing ?? .linspace
        let trained = schedule.sigmas
        var (timesteps, levels) = laidOut(config, trained, count) {
            Timesteps.plain(config, spacing: spacing, steps: count, fractional: true)
        }
        if config.karras && !ancestral && !config.isSGMUniform {
            levels = Karras.sigmas(from: levels[0], to: levels[count - 1], steps: count)
            let logs = trained.map { Float(log(Double($0))) }
            timesteps = levels.map { Karras.timestep(of: $0, in: logs) }
        }
        let end = ancestral ? 0 : config.finalLevel(trained)
        let sigmas = (levels + [end]).map { Float($0) }
        let steps = (0..<count).map { i in
            let (sigma, next) = (Double(sigmas[i]), Double(sigmas[i + 1]))
            let root = (sigma * sigma + 1).squareRoot()
            var step = Scheduler.Step()
            step.inputScale = 1 / root
            (step.clean, step.noise) = (1, sigma)
            switch config.prediction {
            case .epsilon: (step.fromLatent, step.fromOutput) = (1, -sigma)
            case .vPrediction:
                (step.fromLatent, step.fromOutput) = (1 / (root * root), -sigma / root)
            }
            var target = next
            if ancestral {
                let up = next * ((sigma * sigma - next * next).squareRoot() / sigma)
                target = (next * next - up * up).squareRoot()
                step.fresh = up
            }
            // x + (x − x₀)/σ · (target − σ)
            let slope = (target - sigma) / sigma
            (step.keep, step.estimate) = (1 + slope, -slope)
            return step
        }
        let largest = Double(sigmas.max() ?? 1)
        let isLeading = spacing == .leading && !config.isSGMUniform
        let start = isLeading ? (largest * largest + 1).squareRoot() : largest
        return Self(
            timesteps: timesteps,
            sigmas: sigmas,
            initNoiseSigma: Float(start),
            steps: steps
        )
    }

    /// DPM-Solver++ of second order, multistep, midpoint (Lu et al., 2022, algorithm 2), its last
    /// step of first order.
    static func multistep(
        _ config: SchedulerConfig,
        _ schedule: NoiseSchedule,
        _ count: Int
    ) -> Self {
        let spacing = config.spacing ?? .linspace
        let trained = schedule.sigmas
        var (timesteps, levels) = laidOut(config, trained, count) {
            Timesteps.multistep(config, spacing: spacing, steps: count)
        }
        if config.karras && !config.isSGMUniform {
            let (largest, smallest) = (trained[trained.count - 1], trained[0])
            levels = Karras.sigmas(from: Double(largest), to: Double(smallest), steps: count)
            let logs = trained.map { Float(log(Double($0))) }
            timesteps = levels.map { Karras.timestep(of: $0, in: logs).rounded(.toNearestOrEven) }
        }
        let sigmas = (levels + [config.finalLevel(trained)]).map { Float($0) }
        // Diffusers' `lower_order_final`: always with σ = 0, else in short runs.
        let endsInFirstOrder = config.finalSigma == .zero || count < 15
        // α, σ and λ = log(α/σ) of a level.
        func at(_ i: Int) -> (alpha: Double, sigma: Double, lambda: Double) {
            let s = Double(sigmas[i])
            let alpha = 1 / (s * s + 1).squareRoot()
            return (alpha, s * alpha, -log(s))
        }
        let steps = (0..<count).map { i in
            let (now, next) = (at(i), at(i + 1))
            var step = Scheduler.Step()
            (step.clean, step.noise) = (now.alpha, now.sigma)
            step.estimateFrom(alpha: now.alpha, sigma: now.sigma, config.prediction)
            step.keep = next.sigma / now.sigma
            let h = next.lambda - now.lambda
            let gain = -next.alpha * expm1(-h)
            step.estimate = gain
            // The history is empty at first.
            if i > 0 && (i < count - 1 || !endsInFirstOrder) {
                let ratio = (now.lambda - at(i - 1).lambda) / h
                step.estimate += 0.5 * gain / ratio
                step.previous = -0.5 * gain / ratio
            }
            return step
        }
        return Self(timesteps: timesteps, sigmas: sigmas, steps: steps)
    }

    /// Latent consistency models' multistep sampling (Luo et al., 2023).
    static func lcm(_ config: SchedulerConfig, _ schedule: NoiseSchedule, _ count: Int) -> Self {
        let timesteps = Timesteps.distilled(config, steps: count)
        let alphas = schedule.alphasCumprod
        let data = 0.5
        let steps = timesteps.indices.map { i in
            let now = Double(alphas[Int(timesteps[i])])
            let (alpha, sigma) = (now.squareRoot(), (1 - now).squareRoot())
            let scaled = timesteps[i] * config.timestepScaling
            let skip = data * data / (scaled * scaled + data * data)
            let out = scaled / (scaled * scaled + data * data).squareRoot()
            var step = Scheduler.Step()
            (step.clean, step.noise) = (alpha, sigma)
            step.estimateFrom(alpha: alpha, sigma: sigma, config.prediction)
            (step.keep, step.estimate) = (skip, out)
            if i < count - 1 {
                let next = Double(alphas[Int(timesteps[i + 1])])
                step.keep *= next.squareRoot()
                step.estimate *= next.squareRoot()
                step.fresh = (1 - next).squareRoot()
            }
            return step
        }
        return Self(timesteps: timesteps, steps: steps)
    }

    /// Timesteps and noise levels of a run: as `plain` lays them out, or as SGM's uniform schedule does,
    /// whose levels between whole timesteps are those of k-diffusion: interpolated as log σ.
    private static func laidOut(
        _ config: SchedulerConfig,
        _ trained: [Float],
        _ count: Int,
        plain: () -> [Double]
    ) -> (timesteps: [Double], levels: [Double]) {
        guard config.isSGMUniform else {
            let timesteps = plain()
            return (timesteps, timesteps.map { interpolate(trained, at: $0) })
        }
        let last = Double(config.trainTimesteps - 1)
        let timesteps = Array(Timesteps.linspace(last, 0, count + 1).dropLast())
        let logs = trained.map { Float(log(Double($0))) }
        return (timesteps, timesteps.map { exp(interpolate(logs, at: $0)) })
    }

    /// The schedule between whole timesteps.
    private static func interpolate(_ values: [Float], at t: Double) -> Double {
        let i = min(max(Int(t), 0), values.count - 1)
        guard i + 1 < values.count else { return Double(values[values.count - 1]) }
        let (a, b) = (Double(values[i]), Double(values[i + 1]))
        return a + (b - a) * (t - Double(i))
    }
}
