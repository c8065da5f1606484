/// A noise level: how a noisy latent is formed, how the network reads it, and what its output means.
struct NoiseLevel: Equatable, Sendable {
    /// Weights of the clean latent and of the noise in a noisy latent.
    let clean: Double
    let noise: Double
    /// Factor by which the latent is multiplied for the network.
    let inputScale: Double
    /// Weights in the estimate of the clean latent: `fromLatent` · x + `fromOutput` · output.
    let fromLatent: Double
    let fromOutput: Double
    /// The noise ε that the network sees in the latent.
    let epsilon: Update

    /// x = α·x₀ + σ·ε with α² + σ² = 1, as the network was trained.
    static func variancePreserving(
        alpha: Double,
        sigma: Double,
        _ prediction: PredictionType
    ) -> NoiseLevel {
        let (fromLatent, fromOutput): (Double, Double) =
            switch prediction {
            case .epsilon: (1 / alpha, -sigma / alpha)
            case .vPrediction: (alpha, -sigma)
            }
        return NoiseLevel(
            clean: alpha,
            noise: sigma,
            inputScale: 1,
            fromLatent: fromLatent,
            fromOutput: fromOutput,
            epsilon: prediction == .epsilon ? .output : sigma * .x + alpha * .output
        )
    }

    /// x = x₀ + σ·ε, scaled to unit variance for the network.
    static func varianceExploding(sigma: Double, _ prediction: PredictionType) -> NoiseLevel {
        let root = (sigma * sigma + 1).squareRoot()
        let (fromLatent, fromOutput): (Double, Double) =
            switch prediction {
            case .epsilon: (1, -sigma)
            case .vPrediction: (1 / (root * root), -sigma / root)
            }
        return NoiseLevel(
            clean: 1,
            noise: sigma,
            inputScale: 1 / root,
            fromLatent: fromLatent,
            fromOutput: fromOutput,
            epsilon: (1 / sigma) * (Update.x - Update.x0)
        )
    }
}
