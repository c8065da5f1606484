import Engine

/// The estimate of the clean latent implied by a step's prediction, a·x + b·ε. Computed lazily, only when somebody
/// wants to see it.
package struct CleanEstimate: Sendable {
    private let latent: Tensor
    private let prediction: Tensor
    private let weights: (latent: Float, prediction: Float)

    /// - Parameters:
    ///   - latent: the latent before the step, `[1, height, width, channels]`
    ///   - prediction: the fused prediction, of the same shape
    ///   - weights: the factors a and b
    package init(latent: Tensor, prediction: Tensor, weights: (latent: Float, prediction: Float)) {
        (self.latent, self.prediction, self.weights) = (latent, prediction, weights)
    }

    /// A subsampled version of the estimate, so that the cost does not grow with the size of the latent.
    ///
    /// - Parameter longest: maximum length of either side
    /// - Returns: `[1, rows, columns, channels]`
    package func sampled(longest: Int) -> Tensor {
        let (x, y) = (latent.sampled(longest: longest), prediction.sampled(longest: longest))
        let (a, b) = weights
        return x.zip(y) { a * $0 + b * $1 }
    }
}

extension Tensor {
    /// Every nth row and column, starting in the middle of the first n.
    ///
    /// - Parameter longest: maximum length of either side
    /// - Returns: `[1, height, width, channels]` with fewer rows and columns
    package func sampled(longest: Int) -> Tensor {
        let (height, width, channels) = (shape[1], shape[2], shape[3])
        let n = max(1, (max(height, width) + longest - 1) / longest)
        let (rows, columns) = ((height + n - 1) / n, (width + n - 1) / n)
        return Tensor(shape: [1, rows, columns, channels]) { out in
            withFloats { x in
                for row in 0..<rows {
                    let y = min(row * n + n / 2, height - 1)
                    for column in 0..<columns {
                        let from = (y * width + min(column * n + n / 2, width - 1)) * channels
                        let to = (row * columns + column) * channels
                        for c in 0..<channels { out[to + c] = x[from + c] }
                    }
                }
            }
        }
    }
}
