import Foundation

/// A level of a process x = α·x₀ + σ·ε, and λ = log(α/σ). If it is made from σ/α, the process is variance-preserving.
struct PreservingLevel: Equatable, Sendable {
    let alpha: Double
    let sigma: Double
    let lambda: Double

    /// - Parameter ratio: σ/α
    init(ratio: Double) {
        alpha = 1 / (ratio * ratio + 1).squareRoot()
        (sigma, lambda) = (ratio * alpha, -log(ratio))
    }

    init(alpha: Double, sigma: Double) {
        (self.alpha, self.sigma) = (alpha, sigma)
        lambda = log(alpha) - log(sigma)
    }

    func noiseLevel(_ prediction: PredictionType) -> NoiseLevel {
        .variancePreserving(alpha: alpha, sigma: sigma, prediction)
    }
}
