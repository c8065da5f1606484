import Engine

/// Pairs of latent pixels and the picture's colours there, for fitting `LatentColours`. Pure except for reading the
/// file.
enum LatentSamples {
    /// Maximum samples per side.
    static let side = 64

    /// Fits a map to a decoded picture.
    ///
    /// - Parameters:
    ///   - latent: the downsampled latent, `[1, rows, columns, channels]`
    ///   - picture: a small copy of the decoded picture
    /// - Returns: nil if the samples do not determine a map
    /// - Throws: `InputError` if the file is damaged
    static func fit(_ latent: Tensor, to picture: PictureFile) throws -> LatentColours? {
        let (rows, columns, channels) = (latent.shape[1], latent.shape[2], latent.shape[3])
        var sums = [[Float]](repeating: [0, 0, 0], count: rows * columns)
        var counts = [Float](repeating: 0, count: rows * columns)
        var y = 0
        let (width, height) = (picture.width, picture.height)
        try picture.rows { samples in
            let row = min(rows - 1, y * rows / height)
            for x in 0..<width {
                let cell = row * columns + min(columns - 1, x * columns / width)
                for c in 0..<3 { sums[cell][c] += samples[3 * x + c] }
                counts[cell] += 1
            }
            y += 1
        }
        let used = counts.indices.filter { counts[$0] > 0 }
        return latent.withFloats { z in
            LatentColours(
                fitting: used.map { cell in (0..<channels).map { z[cell * channels + $0] } },
                to: used.map { cell in sums[cell].map { $0 / counts[cell] } }
            )
        }
    }
}
