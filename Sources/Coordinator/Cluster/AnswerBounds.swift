import Engine

/// What an answer may contain. Every bound is far beyond what any network outputs, and keeps out values that no network
/// outputs: one such value would spoil the whole picture.
///
/// - Predictions, noise or v, are trained to have a root mean square of about 1, like the scaled latents that go in.
///   Guidance, uncond + g · (text − uncond), moves them by a fraction of g; ten times 1 + |g| is accepted. None is
///   zero, or zero nearly everywhere: that is what a broken device answers.
/// - Decoded pixels are about −1…1, and encoded latents have the scale of latents.
/// - Tokens and moments come from activations inside the autoencoder. SDXL's exceed the range of float16 (65,504); 10⁹
///   is 15,000 times as much.
package struct AnswerBounds {
    /// Maximum magnitude of an element.
    private let largest: Float
    /// Maximum and minimum root mean square.
    private let loudest: Double
    private let quietest: Double
    /// Minimum of the largest magnitude, unless all elements may be zero.
    private let smallest: Float
    private let mayBeZero: Bool

    /// Maximum ratio of an output to its input, or to 1.
    private static let gain: Float = 1000
    /// Maximum magnitude of an activation.
    private static let activation: Double = 1e9

    /// - Parameters:
    ///   - latent: the view's input
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

    /// Why an answer is rejected; nil for a good one.
    package func fault(of answer: WorkResult) -> String? {
        if let tensor = answer.tensor {
            guard let peak = tensor.largestMagnitude else {
                return "its answer holds NaN or infinity"
            }
            // Tokens come with statistics.
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
    /// The elements that these checks read: all of a small tensor, and every 31st of a large one. The bounds are so
    /// wide that a sample is enough; 31 is prime, so the sample contains every channel.
    private var sample: StrideTo<Int> { stride(from: 0, to: count, by: count < 4096 ? 1 : 31) }

    /// Root mean square of a sample of the elements.
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

    /// Whether more than half of a sample of the elements are less than a millionth of the largest.
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
