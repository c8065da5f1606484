import Foundation

/// A level of the variance-preserving process: α, σ and λ = log(α/σ).
struct PreservingLevel: Equatable, Sendable {
    let alpha: Double
    let sigma: Double
    let lambda: Double

    /// - Parameter ratio: σ/α
    init(ratio: Double) {
        alpha = 1 / (ratio * ratio + 1).squareRoot()
        (sigma, lambda) = (ratio * alpha, -log(ratio))
    }

    func noiseLevel(_ prediction: PredictionType) -> NoiseLevel {
        .variancePreserving(alpha: alpha, sigma: sigma, prediction)
    }
}
