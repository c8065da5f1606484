import Engine

/// The mean of every channel of a latent in each unshifted window of a stage.
///
/// Windows are refined independently, and a window that shows only a patch of sky cannot know which colour its
/// neighbour gives it: each drifts on its own, and the differences show as bands. So the means of the enlarged latent
/// are restored at the end of a stage, with the same weights that fuse the windows: drift that arose window by window
/// is removed window by window.
package struct WindowMeans: Sendable {
    /// The means, `[1, 1, windows, channels]`.
    package let values: Tensor

    package init(_ values: Tensor) { self.values = values }

    /// - Parameters:
    ///   - latent: `[1, height, width, channels]`
    ///   - grid: the window grid
    ///   - weight: weights of a window's pixels
    package init(of latent: Tensor, in grid: WindowGrid, _ weight: WindowWeight) {
        let (windows, channels) = (grid.unshifted, latent.shape[3])
        var means: [Float] = []
        latent.withFloats { x in
            for window in windows {
                let kept = window.kept(in: grid.latent)
                let (down, across) = (weight.profile(window.height), weight.profile(window.width))
                var (sums, total) = ([Double](repeating: 0, count: channels), 0.0)
                for row in kept.rows {
                    for column in kept.columns {
                        let weight = Double(down[row - window.top] * across[column - window.left])
                        let pixel = (row * grid.latent.width + column) * channels
                        for c in 0..<channels { sums[c] += weight * Double(x[pixel + c]) }
                        total += weight
                    }
                }
                means += sums.map { Float($0 / total) }
            }
        }
        values = Tensor(means, shape: [1, 1, windows.count, channels])
    }

    /// Number of times the remaining drift is removed: one pass is not enough, because windows overlap and share
    /// pixels.
    private static let passes = 4

    /// Restores these means in a latent, as closely as overlapping windows allow.
    ///
    /// - Parameters:
    ///   - latent: `[1, height, width, channels]`
    ///   - grid: the window grid
    ///   - weight: weights of a window's pixels
    /// - Returns: a latent of the same shape
    package func restored(
        in latent: Tensor,
        _ grid: WindowGrid,
        _ weight: WindowWeight
    ) -> Tensor {
        var latent = latent
        for _ in 0..<Self.passes {
            let drift = values - WindowMeans(of: latent, in: grid, weight).values
            latent = latent + Self.fused(drift, in: grid, weight)
        }
        return latent
    }

    /// Fuses windows of constant value, one per channel, into a latent.
    private static func fused(
        _ values: Tensor,
        in grid: WindowGrid,
        _ weight: WindowWeight
    ) -> Tensor {
        let channels = values.shape[3]
        var average = WindowAverage(latent: grid.latent, channels: channels, weight: weight)
        values.withFloats { values in
            for (index, window) in grid.unshifted.enumerated() {
                let area = window.height * window.width
                let pixels = Tensor(shape: [1, window.height, window.width, channels]) { out in
                    for i in 0..<area * channels {
                        out[i] = values[index * channels + i % channels]
                    }
                }
                average.add(pixels, at: window)
            }
        }
        return average.mean()
    }
}

extension WindowGrid {
    /// All windows at their unshifted positions, row by row.
    package var unshifted: [Window] {
        let windows = try? windows { range throws(InputError) in
            max(range.lowerBound, min(0, range.upperBound))
        }
        guard let windows else { preconditionFailure("nothing is thrown here") }
        return windows
    }
}
