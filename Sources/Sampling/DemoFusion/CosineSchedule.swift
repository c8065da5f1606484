import Foundation

/// The three decaying weights of DemoFusion (§3.3 and §3.4). They depend on the timestep only.
package struct CosineSchedule: Equatable, Sendable {
    /// Exponents a₁ (skip residual), a₂ (dilated path) and a₃ (blur).
    package var exponents: [Double]
    /// Standard deviation of the blur at c₃ = 1, in latent pixels.
    package var sigma: Double

    package init(
        exponents: [Double] = Settings.cosineScales.defaultValue,
        sigma: Double = Settings.sigma.defaultValue
    ) {
        precondition(exponents.count == 3, "\(exponents)")
        self.exponents = exponents
        self.sigma = sigma
    }

    /// The weights at one timestep.
    package struct Weights: Equatable, Sendable {
        /// Weight of the noised upsampled latent in the skip residual.
        package let skip: Float
        /// Weight of the dilated path in the fused prediction.
        package let dilated: Float
        /// Standard deviation of the blur before dilated sampling, in latent pixels.
        package let blurSigma: Double
    }

    /// c = (1 + cos(π(T − t)/T))/2, then c^a₁, c^a₂ and σ·(0.99·c^a₃ + 0.01).
    package func weights(timestep t: Float, trainTimesteps: Int) -> Weights {
        let total = Double(trainTimesteps)
        let c = 0.5 * (1 + cos(.pi * (total - Double(t)) / total))
        return Weights(
            skip: Float(pow(c, exponents[0])),
            dilated: Float(pow(c, exponents[1])),
            blurSigma: sigma * (0.99 * pow(c, exponents[2]) + 0.01)
        )
    }
}
