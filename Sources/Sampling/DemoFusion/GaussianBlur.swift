import Engine
import Foundation

/// Separable Gaussian blur of every channel, followed by renormalisation.
package enum GaussianBlur {
    /// The blurred copy that dilated sampling reads: kernel (2s−1)², rescaled to the mean and
    /// standard deviation of `latent` (DemoFusion §3.4).
    ///
    /// - Parameters:
    ///   - latent: `[1, height, width, channels]`, including its margin
    ///   - dilation: s
    ///   - sigma: standard deviation of the kernel, in latent pixels
    ///   - border: `zeros` pads with zeros, `inside` normalises by the weights of existing pixels
    /// - Returns: the blurred copy, of the same shape
    package static func renormalised(
        _ latent: Tensor,
        dilation: Int,
        sigma: Double,
        border: Border
    ) -> Tensor {
        let blurred = blur(latent, taps: 2 * dilation - 1, sigma: sigma, border: border)
        let (mean, deviation) = blurred.meanAndDeviation()
        let (targetMean, targetDeviation) = latent.meanAndDeviation()
        guard deviation > 0 else { return blurred }
        let gain = targetDeviation / deviation
        return blurred.map { ($0 - mean) * gain + targetMean }
    }

    package static func blur(_ x: Tensor, taps: Int, sigma: Double, border: Border) -> Tensor {
        precondition(x.shape.count == 4 && x.shape[0] == 1 && taps % 2 == 1, "\(x.shape), \(taps)")
        var kernel = (0..<taps).map { tap in
            let r = Double(tap) - Double(taps - 1) / 2
            return exp(-r * r / (2 * sigma * sigma))
        }
        let sum = kernel.reduce(0, +)
        kernel = kernel.map { $0 / sum }
        let (h, w, c) = (x.shape[1], x.shape[2], x.shape[3])
        let columns = along(x, length: h, step: w * c, lanes: w * c, groups: 1, kernel, border)
        return along(columns, length: w, step: c, lanes: c, groups: h, kernel, border)
    }

    /// One pass of the kernel along an axis whose neighbours are `step` floats apart.
    private static func along(
        _ x: Tensor,
        length: Int,
        step: Int,
        lanes: Int,
        groups: Int,
        _ kernel: [Double],
        _ border: Border
    ) -> Tensor {
        let radius = kernel.count / 2
        return Tensor(shape: x.shape) { out in
            x.withFloats { x in
                out.update(repeating: 0)
                for group in 0..<groups {
                    let base = group * length * step
                    for i in 0..<length {
                        let taps = max(0, radius - i)..<min(kernel.count, length - i + radius)
                        let share =
                            border == .inside ? kernel[taps].reduce(0, +) : 1
                        let to = base + i * step
                        for tap in taps {
                            let weight = Float(kernel[tap] / share)
                            let from = base + (i + tap - radius) * step
                            for lane in 0..<lanes { out[to + lane] += weight * x[from + lane] }
                        }
                    }
                }
            }
        }
    }
}
