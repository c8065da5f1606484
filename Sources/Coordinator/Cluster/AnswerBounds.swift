import Engine

/// Limits on the values of an answer. Each is orders of magnitude beyond the output of any network, and keeps
/// anything else from being fused: one such value spoils the whole picture.
///
/// - Predictions, noise or v, have a standard deviation of about 1 by training, like the scaled input
///   latents. Guidance is uncond + g · (text − uncond), at most 1 + 2·|g| times as large. None is zero everywhere:
///   that is what a broken device returns.
/// - Decoded pixels are about −1…1, encoded latents of the scale of latents.
/// - Tokens and moments are of activations inside the autoencoder. SDXL's leave the range of float16
///   (65,504); 10⁹ is 15,000 times as much.
package struct AnswerBounds {
    /// The largest magnitude of an element.
    private let largest: Float
    /// The largest magnitude must not be less than this, unless the answer may be zero.
    private let smallest: Float
    private let mayBeZero: Bool

    /// Maximum ratio of an output to its input, or to 1.
    private static let gain: Float = 1000
    /// The largest magnitude of an activation.
    private static let activation: Double = 1e9

    /// - Parameters:
    ///   - latent: the view
    ///   - guidance: the guidance scale; 0 for a single evaluation
    package init(predicting latent: Tensor, guidance: Float) {
        largest = Self.gain * max(1, latent.largestMagnitude ?? 1) * (1 + 2 * abs(guidance))
        (smallest, mayBeZero) = (1e-12, false)
    }

    /// - Parameter input: a latent to decode, or a picture to encode
    package init(evaluating input: Tensor) {
        largest = Self.gain * max(1, input.largestMagnitude ?? 1)
        (smallest, mayBeZero) = (1e-30, true)
    }

    /// The reason why an answer is rejected; nil for a good one.
    package func fault(of answer: WorkResult) -> String? {
        if let tensor = answer.tensor {
            guard let peak = tensor.largestMagnitude else {
                return "its answer holds NaN or infinity"
            }
            // With statistics come tokens.
            let limit = answer.statistics.isEmpty ? largest : Float(Self.activation)
            guard peak <= limit else {
                return "its answer holds values of up to \(peak), which no model produces"
            }
            guard peak >= smallest || (mayBeZero && peak == 0) else {
                return "its answer is \(peak == 0 ? "zero" : "almost zero") everywhere"
            }
        }
        for moments in answer.statistics {
            guard moments.mean.isFinite, moments.variance.isFinite, moments.variance >= 0 else {
                return "its answer holds NaN or infinity"
            }
            guard abs(moments.mean) <= Self.activation,
                moments.variance <= Self.activation * Self.activation
            else { return "its answer holds statistics that no model produces" }
        }
        return nil
    }
}
