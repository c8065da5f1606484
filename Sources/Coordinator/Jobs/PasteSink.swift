import Engine
import Sampling

/// Restores the init image where the mask is black, and passes the rows on.
///
/// Pixels outside the mask are the init image's own. Inside it, an edge of `feather` pixels blends from the init image
/// to what was generated.
package struct PasteSink: PictureSink {
    private var sink: FileSink
    private let picture: ScaledPicture
    private let mask: ScaledPicture
    private var next = 0

    /// Width of the blended edge, in pixels: that of a latent pixel.
    package static let feather = 8

    /// - Parameters:
    ///   - sink: receives the result
    ///   - picture: the init image at the size of the result
    ///   - mask: the mask at the size of the result
    init(_ sink: FileSink, picture: ScaledPicture, mask: ScaledPicture) {
        (self.sink, self.picture, self.mask) = (sink, picture, mask)
    }

    /// The sink, once all rows have been written.
    var finished: FileSink { sink }

    package mutating func write(_ rows: Tensor) throws {
        let (count, width) = (rows.shape[1], rows.shape[2])
        let kept = try picture.part(Region(rows: next..<next + count, columns: 0..<width))
        let shares = try shares(next..<next + count)
        let mixed = Tensor(shape: rows.shape) { out in
            rows.withFloats { made in
                kept.withFloats { kept in
                    for (pixel, share) in shares.enumerated() {
                        for i in 3 * pixel..<3 * pixel + 3 {
                            out[i] =
                                share == 0
                                ? kept[i]
                                : share == 1 ? made[i] : kept[i] + share * (made[i] - kept[i])
                        }
                    }
                }
            }
        }
        next += count
        try sink.write(mixed)
    }

    /// Share of generated content in each pixel of some rows: 0 outside the mask, 1 from `feather` pixels inside it.
    private func shares(_ rows: Range<Int>) throws -> [Float] {
        let (height, width, reach) = (mask.height, mask.width, Self.feather)
        let around = max(0, rows.lowerBound - reach)..<min(height, rows.upperBound + reach)
        let part = try mask.part(Region(rows: around, columns: 0..<width))
        return Self.shares(
            MaskPicture.changes(part),
            width: width,
            rows: rows.lowerBound - around.lowerBound..<rows.upperBound - around.lowerBound
        )
    }

    /// Distance of each pixel to the nearest pixel that stays, as a fraction of `feather`.
    ///
    /// - Parameters:
    ///   - changes: which pixels change, in these rows and in up to `feather` rows above and below them
    ///   - width: width of the picture
    ///   - rows: the rows for which shares are wanted
    /// - Returns: one share for each pixel of those rows
    package static func shares(_ changes: [Bool], width: Int, rows: Range<Int>) -> [Float] {
        let height = changes.count / max(1, width)
        let far = feather * straight
        var distance = changes.map { $0 ? far : 0 }
        func relax(_ at: Int, _ from: Int, _ step: Int) {
            distance[at] = min(distance[at], distance[from] + step)
        }
        func relax(_ at: Int, row: Int, _ x: Int) {
            for dx in -1...1 where (0..<width).contains(x + dx) {
                relax(at, row * width + x + dx, dx == 0 ? straight : diagonal)
            }
        }
        // Chamfer distance transform: a forward and a backward pass.
        for y in 0..<height {
            for x in 0..<width {
                if x > 0 { relax(y * width + x, y * width + x - 1, straight) }
                if y > 0 { relax(y * width + x, row: y - 1, x) }
            }
        }
        for y in (0..<height).reversed() {
            for x in (0..<width).reversed() {
                if x < width - 1 { relax(y * width + x, y * width + x + 1, straight) }
                if y < height - 1 { relax(y * width + x, row: y + 1, x) }
            }
        }
        return distance[rows.lowerBound * width..<rows.upperBound * width].map {
            Float($0) / Float(far)
        }
    }

    /// Costs of a step to a direct and to a diagonal neighbour. Their ratio is close to that of the distances, so that
    /// edges of round masks fade evenly (Borgefors, 1986).
    private static let straight = 3
    private static let diagonal = 4
}
