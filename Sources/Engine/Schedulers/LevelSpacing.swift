import Foundation

extension LevelSpacing {
    private static let rho = 7.0

    /// Noise levels from the largest down to the smallest; nil if they follow from the training schedule.
    func levels(from largest: Double, to smallest: Double, steps: Int) -> [Double]? {
        let parts = Timesteps.linspace(0, 1, steps)
        switch self {
        case .karras:
            let (low, high) = (pow(smallest, 1 / Self.rho), pow(largest, 1 / Self.rho))
            return parts.map { pow(high + $0 * (low - high), Self.rho) }
        case .exponential:
            let (low, high) = (log(smallest), log(largest))
            return parts.map { exp(high + $0 * (low - high)) }
        case .beta:
            return parts.map {
                smallest + BetaDistribution.quantile(1 - $0) * (largest - smallest)
            }
        case .sgmUniform, .simple, .alignYourSteps, .alignYourStepsXL: return nil
        }
    }

    /// Fixed noise levels that replace evenly spaced timesteps; nil if this spacing has none.
    func fixed(_ config: SchedulerConfig, _ schedule: NoiseSchedule, steps: Int) -> [Double]? {
        let trained = schedule.sigmas
        switch self {
        case .simple:
            return (0..<steps).map { i in
                let back = Int(Double(i) * Double(trained.count) / Double(steps))
                return Double(trained[trained.count - 1 - back])
            }
        case .alignYourSteps:
            let isXL = config.family?.isXL == true
            return Self.interpolated(isXL ? Self.optimisedXL : Self.optimised, steps)
        case .alignYourStepsXL: return Self.interpolated(Self.optimisedXL, steps)
        case .karras, .exponential, .beta, .sgmUniform: return nil
        }
    }

    /// Published noise levels for ten steps, followed by the lowest level of the training schedule. None were published
    /// for Stable Diffusion 2, which has the training schedule of Stable Diffusion 1.
    private static let optimised = [
        14.615, 6.475, 3.861, 2.697, 1.886, 1.396, 0.963, 0.652, 0.399, 0.152, 0.029,
    ]
    private static let optimisedXL = [
        14.615, 6.315, 3.771, 2.181, 1.342, 0.862, 0.555, 0.380, 0.234, 0.113, 0.029,
    ]

    /// Noise levels for another number of steps, by linear interpolation of log σ; the last one is left to the sampler.
    private static func interpolated(_ levels: [Double], _ steps: Int) -> [Double] {
        Timesteps.linspace(0, Double(levels.count - 1), steps + 1).dropLast().map { place in
            let i = min(Int(place), levels.count - 2)
            let (a, b) = (log(levels[i]), log(levels[i + 1]))
            return exp(a + (b - a) * (place - Double(i)))
        }
    }

    /// The fractional training timestep of a noise level, by linear interpolation in log σ.
    static func timestep(of sigma: Double, in logSigmas: [Float]) -> Double {
        let wanted = log(max(sigma, 1e-10))
        let above = logSigmas.lastIndex { wanted - Double($0) >= 0 } ?? 0
        let i = min(above, logSigmas.count - 2)
        let (low, high) = (logSigmas[i], logSigmas[i + 1])
        let w = min(max((Double(low) - wanted) / Double(low - high), 0), 1)
        return (1 - w) * Double(i) + w * Double(i + 1)
    }
}

/// The beta distribution with α = β = 0.6.
enum BetaDistribution {
    private static let shape = 0.6

    /// The quantile function: the value with this share of the distribution below it.
    static func quantile(_ share: Double) -> Double {
        guard share > 0 else { return 0 }
        guard share < 1 else { return 1 }
        // The distribution is symmetric, and the series of its lower half converges fast.
        guard share <= 0.5 else { return 1 - quantile(1 - share) }
        var (low, high) = (0.0, 0.5)
        while true {
            let middle = low + (high - low) / 2
            guard middle > low, middle < high else { return middle }
            if cumulative(middle) < share { low = middle } else { high = middle }
        }
    }

    /// The cumulative distribution function at `x`, 0…½, by its power series.
    private static func cumulative(_ x: Double) -> Double {
        let a = shape
        let complete = exp(2 * lgamma(a) - lgamma(2 * a))
        // B(x; a, b) = xᵃ Σ (1 − b)ₙ xⁿ / (n! (a + n))
        var (sum, term, n) = (0.0, 1.0, 0.0)
        while n < 200 {
            sum += term / (a + n)
            term *= (1 - a + n) / (n + 1) * x
            n += 1
            if term < 1e-18 { break }
        }
        return pow(x, a) * sum / complete
    }
}
