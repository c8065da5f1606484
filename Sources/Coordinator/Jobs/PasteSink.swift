import Engine
import Sampling

/// Puts the init image back where the mask is black, and passes the rows on.
///
/// Pixels outside the mask are the init image's own. Inside, a feathered edge of `feather` pixels leads from it to what was
/// generated.
package struct PasteSink: PictureSink {
    private var sink: FileSink
    private let picture: ScaledPicture
    private let mask: ScaledPicture
    private var next = 0

    /// Width of the edge, in pixels: that of a latent pixel.
    package static let feather = 8

    /// - Parameters:
    ///   - sink: gets the result
    ///   - picture: the init image at the size of the result
    ///   - mask: at that size
    init(_ sink: FileSink, picture: ScaledPicture, mask: ScaledPicture) {
        (self.sink, self.picture, self.mask) = (sink, picture, mask)
    }

    /// The sink with all rows.
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

    /// The share of what was generated in each pixel of some rows: 0 outside the mask, 1 from `feather` pixels inside it on.
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

    /// The distance of each pixel to the nearest that stays, in parts of `feather`.
    ///
    /// - Parameters:
    ///   - changes: which pixels of a picture change, and of `feather` rows above and below where there are such
    ///   - width: of the picture
    ///   - rows: those wanted
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
        // Two passes over neighbours.
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

    /// Steps to a neighbour and to a diagonal one, whose ratio is nearly that of their distances: edges of round masks fade
    /// evenly (Borgefors, 1986).
    private static let straight = 3
    private static let diagonal = 4
}
