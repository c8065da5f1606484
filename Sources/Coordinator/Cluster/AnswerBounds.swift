import Engine

/// What an answer may hold. Every bound is far beyond what any network outputs, and keeps what no network
/// outputs from being fused: one such value spoils the whole picture.
///
/// - Predictions, noise or v, are trained to have a root mean square of about 1, as the scaled latents have
///   that go in. Guidance, uncond + g · (text − uncond), moves them by a fraction of g; ten times 1 + |g| is
///   accepted. None is zero, or zero nearly everywhere: that is what a broken device answers.
/// - Decoded pixels are about −1…1, encoded latents of the scale of latents.
/// - Tokens and moments are of activations inside the autoencoder. SDXL's leave the range of float16
///   (65,504); 10⁹ is 15,000 times as much.
package struct AnswerBounds {
    /// The largest magnitude of an element.
    private let largest: Float
    /// The largest root mean square, and the smallest.
    private let loudest: Double
    private let quietest: Double
    /// The largest magnitude must not be less than this, unless it may be zero.
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
        let level = max(1, latent.rootMeanSquare)
        largest = Self.gain * Float(level) * (1 + 2 * abs(guidance))
        loudest = 10 * level * Double(1 + abs(guidance))
        quietest = 1e-6
        (smallest, mayBeZero) = (1e-12, false)
    }

    /// - Parameter input: a latent to decode, or a picture to encode
    package init(evaluating input: Tensor) {
        largest = Self.gain * max(1, input.largestMagnitude ?? 1)
        (loudest, quietest) = (100 * max(1, input.rootMeanSquare), 0)
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
                return "its answer holds values of up to \(peak), which no model outputs"
            }
            guard peak >= smallest || (mayBeZero && peak == 0) else {
                return "its answer is \(peak == 0 ? "zero" : "almost zero") everywhere"
            }
            if answer.statistics.isEmpty {
                let level = tensor.rootMeanSquare
                guard level <= loudest else {
                    return "its answer has a root mean square of \(level), which no model outputs"
                }
                guard level >= quietest, mayBeZero || !tensor.isMostlyNegligible(beside: peak)
                else { return "its answer is almost zero nearly everywhere" }
            }
        }
        for moments in answer.statistics {
            guard moments.mean.isFinite, moments.variance.isFinite, moments.variance >= 0 else {
                return "its answer holds NaN or infinity"
            }
            guard abs(moments.mean) <= Self.activation,
                moments.variance <= Self.activation * Self.activation
            else { return "its answer holds statistics that no model outputs" }
        }
        return nil
    }
}

extension Tensor {
    /// The elements that these checks read: all of a small tensor, and every 31st of a large one. The bounds are so wide that
    /// a sample is enough; 31 is prime, so the sample contains every channel.
    private var sample: StrideTo<Int> { stride(from: 0, to: count, by: count < 4096 ? 1 : 31) }

    /// Of a sample of the elements.
    fileprivate var rootMeanSquare: Double {
        withFloats { x in
            var (sum, count) = (0.0, 0.0)
            for i in sample {
                sum += Double(x[i]) * Double(x[i])
                count += 1
            }
            return count == 0 ? 0 : (sum / count).squareRoot()
        }
    }

    /// Whether more than half of the elements are less than a millionth of the largest, by a sample.
    fileprivate func isMostlyNegligible(beside peak: Float) -> Bool {
        withFloats { x in
            var (negligible, count) = (0, 0)
            for i in sample {
                negligible += abs(x[i]) < 1e-6 * peak ? 1 : 0
                count += 1
            }
            return 2 * negligible > count
        }
    }
}
