import Engine

/// Maps a latent to colours linearly: red, green and blue are each a weighted sum of its channels plus a constant. A
/// cheap and rough substitute for the decoder. Pure.
package struct LatentColours: Equatable, Sendable {
    /// For each colour, the weights of the channels followed by the constant; colours are 0…1.
    package let weights: [[Double]]

    package init(weights: [[Double]]) { self.weights = weights }

    package var channels: Int { weights[0].count - 1 }

    /// The least-squares fit; nil if the samples do not determine one.
    ///
    /// - Parameters:
    ///   - latents: the channel values of each sample
    ///   - colours: red, green and blue of each sample
    package init?(fitting latents: [[Float]], to colours: [[Float]]) {
        guard let channels = latents.first?.count, latents.count == colours.count,
            latents.count > 4 * channels
        else { return nil }
        let n = channels + 1
        // Normal equations with three right-hand sides, one for each colour.
        var rows = [[Double]](repeating: Array(repeating: 0, count: n + 3), count: n)
        for (latent, colour) in zip(latents, colours) {
            let x = latent.map(Double.init) + [1]
            for i in 0..<n {
                for j in 0..<n { rows[i][j] += x[i] * x[j] }
                for c in 0..<3 { rows[i][n + c] += x[i] * Double(colour[c]) }
            }
        }
        // Ridge regularisation, to avoid huge weights for channels that hardly vary.
        for i in 0..<channels { rows[i][i] += 1e-4 * Double(latents.count) }
        guard let solved = Self.solve(rows) else { return nil }
        weights = (0..<3).map { c in solved.map { $0[c] } }
    }

    /// Gauss-Jordan elimination with partial pivoting.
    private static func solve(_ equations: [[Double]]) -> [[Double]]? {
        var rows = equations
        let n = rows.count
        for i in 0..<n {
            let pivot = (i..<n).max { abs(rows[$0][i]) < abs(rows[$1][i]) } ?? i
            rows.swapAt(i, pivot)
            guard abs(rows[i][i]) > 1e-9, rows[i][i].isFinite else { return nil }
            for k in 0..<n where k != i {
                let factor = rows[k][i] / rows[i][i]
                for j in i..<rows[k].count { rows[k][j] -= factor * rows[i][j] }
            }
        }
        let solved = (0..<n).map { i in rows[i][n...].map { $0 / rows[i][i] } }
        return solved.allSatisfy { $0.allSatisfy(\.isFinite) } ? solved : nil
    }

    /// Maps for models that come with Tessera, computed by `Training/latent_colours.py`.
    ///
    /// - Parameters:
    ///   - model: name of the model
    ///   - channels: number of latent channels
    /// - Returns: nil for other models
    package static func shipped(_ model: String, channels: Int) -> LatentColours? {
        guard model == "vista", channels == vista.channels else { return nil }
        return vista
    }

    /// Its RMS error is 0.006; the colours vary by 0.23.
    private static let vista = LatentColours(weights: [
        [0.2512, -0.0001, -0.0001, 0.0001, 0.5006],
        [-0.0005, 0.2524, -0.0002, -0.0001, 0.5003],
        [-0.0000, 0.0005, 0.2514, -0.0004, 0.5003],
    ])

    /// Published approximations for the latents of Stable Diffusion 1 and 2 (discuss.huggingface.co, "Decoding latents to RGB
    /// without upscaling") and of SDXL (huggingface.co, "Explaining the SDXL latent space"). Their VAEs are recognised by
    /// the scaling factor.
    ///
    /// - Parameters:
    ///   - scale: scaling factor of the VAE
    ///   - channels: number of latent channels
    /// - Returns: nil for other VAEs
    package static func published(scale: Float, channels: Int) -> LatentColours? {
        guard channels == 4 else { return nil }
        switch scale {
        case 0.18215: return first
        case 0.13025: return xl
        default: return nil
        }
    }

    /// Stable Diffusion 1 and 2; the source maps to -1…1.
    private static let first = LatentColours(
        weights: [
            [0.298, 0.187, -0.158, -0.184], [0.207, 0.286, 0.189, -0.271],
            [0.208, 0.173, 0.264, -0.473],
        ].map { row in row.map { $0 / 2 } + [0.5] }
    )

    /// SDXL; the source maps to 0…255.
    private static let xl = LatentColours(
        weights: [[60, -60, 25, -70, 150], [60, -5, 15, -50, 140], [60, 10, -5, -35, 130]]
            .map { row in row.map { $0 / 255 } }
    )

    /// A map for use before another model's first picture: shows the first three channels as colours, with contrast set
    /// from the latent itself.
    package static func guess(_ latent: Tensor) -> LatentColours {
        let channels = latent.shape[3]
        return latent.withFloats { x in
            let count = Double(x.count / channels)
            let weights = (0..<3).map { colour -> [Double] in
                let c = min(colour, channels - 1)
                var (sum, squares) = (0.0, 0.0)
                for i in stride(from: c, to: x.count, by: channels) {
                    sum += Double(x[i])
                    squares += Double(x[i]) * Double(x[i])
                }
                let mean = sum / count
                let scale = 0.2 / max(1e-6, (squares / count - mean * mean).squareRoot())
                var row = [Double](repeating: 0, count: channels + 1)
                (row[c], row[channels]) = (scale, 0.5 - scale * mean)
                return row
            }
            return LatentColours(weights: weights)
        }
    }

    /// - Parameter latent: `[1, rows, columns, channels]`
    /// - Returns: 3 bytes per pixel, row by row
    package func bytes(_ latent: Tensor) -> [UInt8] {
        let n = latent.shape[3]
        precondition(n == channels, "\(n) channels")
        let flat = weights.map { $0.map(Float.init) }
        return latent.withFloats { x in
            [UInt8](unsafeUninitializedCapacity: x.count / n * 3) { out, count in
                for pixel in 0..<x.count / n {
                    for c in 0..<3 {
                        var sum = flat[c][n]
                        for i in 0..<n { sum += flat[c][i] * x[pixel * n + i] }
                        // NaN becomes 0.
                        out[3 * pixel + c] = UInt8(max(0, min(1, sum.isNaN ? 0 : sum)) * 255)
                    }
                }
                count = x.count / n * 3
            }
        }
    }
}
