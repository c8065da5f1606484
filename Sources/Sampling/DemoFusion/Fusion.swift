import Engine

/// Averages the predictions of windows into one prediction for the whole latent.
///
/// Windows are added in plan order, never in order of arrival, so that the sum is bit-identical wherever they were
/// computed.
package struct WindowAverage {
    private var sum: Tensor
    private var total: [Float]
    private let latent: Extent
    private let weight: WindowWeight

    package init(latent: Extent, channels: Int, weight: WindowWeight = .uniform) {
        self.latent = latent
        self.weight = weight
        sum = Tensor(zeros: [1, latent.height, latent.width, channels])
        total = Array(repeating: 0, count: latent.area)
    }

    /// Adds one window's prediction, `[1, window.height, window.width, channels]`, without the parts that lie in the
    /// margin or are not used.
    package mutating func add(_ prediction: Tensor, at window: Window) {
        let channels = sum.shape[3]
        precondition(
            prediction.shape == [1, window.height, window.width, channels],
            "\(prediction.shape)"
        )
        let kept = window.kept(in: latent)
        let (down, across) = (weight.profile(window.height), weight.profile(window.width))
        let latent = latent
        sum.withMutableFloats { out in
            prediction.withFloats { x in
                for row in kept.rows {
                    let ofRow = down[row - window.top]
                    for column in kept.columns {
                        let weight = ofRow * across[column - window.left]
                        let to = row * latent.width + column
                        let from = (row - window.top) * window.width + column - window.left
                        for c in 0..<channels {
                            out[to * channels + c] += weight * x[from * channels + c]
                        }
                    }
                }
            }
        }
        for row in kept.rows {
            for column in kept.columns {
                total[row * latent.width + column] +=
                    down[row - window.top] * across[column - window.left]
            }
        }
    }

    /// The weighted mean, `[1, height, width, channels]`. Every latent pixel must have been covered.
    package func mean() -> Tensor {
        precondition(total.allSatisfy { $0 > 0 }, "a latent pixel lies in no window")
        var mean = sum
        let channels = sum.shape[3]
        mean.withMutableFloats { out in
            for (pixel, total) in total.enumerated() {
                for c in 0..<channels { out[pixel * channels + c] /= total }
            }
        }
        return mean
    }
}

/// Elementwise steps of the method, on whole latents.
package enum Fusion {
    /// (1 − share)·a + share·b: used for the skip residual and for fusing the two paths.
    package static func blend(_ a: Tensor, _ b: Tensor, share: Float) -> Tensor {
        a.zip(b) { $0 * (1 - share) + $1 * share }
    }

    /// Restores the mean and standard deviation of phase 1 after a later phase.
    package static func anchor(_ z: Tensor, to phase1: Tensor) -> Tensor {
        let (mean, deviation) = z.meanAndDeviation()
        let (targetMean, targetDeviation) = phase1.meanAndDeviation()
        guard deviation > 0 else { return z }
        return z.map { ($0 - mean) / deviation * targetDeviation + targetMean }
    }
}
