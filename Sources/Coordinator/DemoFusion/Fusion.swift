import Engine

/// Averages the predictions of overlapping windows into one prediction for the whole latent.
///
/// Windows are added in their order in the plan, never in order of arrival, so that the sum is the
/// same to the last bit wherever they were rendered.
package struct WindowAverage {
    private var sum: Tensor
    private var weight: [Float]
    private let latent: Extent

    package init(latent: Extent, channels: Int) {
        self.latent = latent
        sum = Tensor(zeros: [1, latent.height, latent.width, channels])
        weight = Array(repeating: 0, count: latent.area)
    }

    /// Adds one window's prediction, `[1, window.height, window.width, channels]`; the part of it
    /// that lies in the margin is dropped.
    package mutating func add(_ prediction: Tensor, at window: Window) {
        let channels = sum.shape[3]
        precondition(
            prediction.shape == [1, window.height, window.width, channels],
            "\(prediction.shape)"
        )
        let rows = max(0, window.top)..<min(latent.height, window.top + window.height)
        let columns = max(0, window.left)..<min(latent.width, window.left + window.width)
        let latent = latent
        sum.withMutableFloats { out in
            prediction.withFloats { x in
                for y in rows {
                    let to = (y * latent.width + columns.lowerBound) * channels
                    let from =
                        ((y - window.top) * window.width + columns.lowerBound - window.left)
                        * channels
                    for i in 0..<(columns.count * channels) { out[to + i] += x[from + i] }
                }
            }
        }
        for y in rows { for x in columns { weight[y * latent.width + x] += 1 } }
    }

    /// The mean, `[1, height, width, channels]`. Every latent pixel must have been covered.
    package func mean() -> Tensor {
        precondition(weight.allSatisfy { $0 > 0 }, "a latent pixel lies in no window")
        var mean = sum
        let channels = sum.shape[3]
        mean.withMutableFloats { out in
            for (pixel, weight) in weight.enumerated() {
                for c in 0..<channels { out[pixel * channels + c] /= weight }
            }
        }
        return mean
    }
}

/// Elementwise steps of the method on whole latents.
package enum Fusion {
    /// (1 − share)·a + share·b: the skip residual and the fusing of the two paths.
    package static func blend(_ a: Tensor, _ b: Tensor, share: Float) -> Tensor {
        a.zip(b) { $0 * (1 - share) + $1 * share }
    }

    /// Brings a finished phase back to the mean and standard deviation of phase 1.
    package static func anchor(_ z: Tensor, to phase1: Tensor) -> Tensor {
        let (mean, deviation) = z.meanAndDeviation()
        let (targetMean, targetDeviation) = phase1.meanAndDeviation()
        guard deviation > 0 else { return z }
        return z.map { ($0 - mean) / deviation * targetDeviation + targetMean }
    }
}
