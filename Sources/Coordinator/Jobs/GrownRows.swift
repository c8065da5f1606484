import Engine
import Sampling

/// How far a picture grows beyond each of its edges, in its own pixels: `--extend`.
package struct PictureGrowth: Hashable, Sendable {
    package var left: Int
    package var top: Int
    package var right: Int
    package var bottom: Int

    package init(left: Int = 0, top: Int = 0, right: Int = 0, bottom: Int = 0) {
        (self.left, self.top, self.right, self.bottom) = (left, top, right, bottom)
    }

    package var isNone: Bool { self == PictureGrowth() }

    /// The value as written on the command line.
    package var written: String { "\(left),\(top),\(right),\(bottom)" }

    /// Size of a picture after it has grown.
    func size(of picture: Extent) -> Extent {
        Extent(height: top + picture.height + bottom, width: left + picture.width + right)
    }

    /// Rejects a crop that keeps none of the new part.
    ///
    /// - Parameters:
    ///   - frame: the crop of the grown picture
    ///   - picture: size of the picture before it grows
    ///   - size: size of the result
    ///   - factor: number that the sides of a result must be multiples of
    /// - Returns: a line about what the crop cuts off; nil if it cuts off nothing
    /// - Throws: `InputError` naming the flag
    func check(
        _ frame: PictureFrame,
        of picture: Extent,
        size: Extent,
        factor: Int
    ) throws(InputError) -> String? {
        let grown = self.size(of: picture)
        let sides: [(name: String, new: Int, cropped: Double)] = [
            ("left", left, frame.columns.lowerBound), ("top", top, frame.rows.lowerBound),
            ("right", right, Double(grown.width) - frame.columns.upperBound),
            ("bottom", bottom, Double(grown.height) - frame.rows.upperBound),
        ].filter { $0.new > 0 }
        guard sides.contains(where: { Double($0.new) - $0.cropped >= 0.5 }) else {
            let near = Extent(
                height: max(1, grown.height / factor) * factor,
                width: max(1, grown.width / factor) * factor
            )
            throw InputError(
                "--extend \(written)",
                "a result of \(size) is cropped from the extended \(grown), and nothing of the new part is left",
                fix: "Choose a --size of that shape, such as \(near.width)x\(near.height)"
            )
        }
        let lost = sides.filter { $0.cropped >= 0.5 }
        guard !lost.isEmpty else { return nil }
        let parts = lost.map { side in
            "\(Int(min(Double(side.new), side.cropped).rounded())) of \(side.new) pixels \(side.name)"
        }
        return "a result of \(size) is cropped from the extended \(grown): of what is new, "
            + "\(parts.joined(separator: " and ")) are cut off"
    }

    /// Passes on the rows of the grown picture, whose new part repeats the outermost pixels.
    ///
    /// - Parameters:
    ///   - width: width of the picture, in pixels
    ///   - rows: iterates over the rows of the picture, 3 · width samples each
    ///   - body: called with each row of the grown picture
    /// - Throws: what `rows` and `body` throw
    func repeatingEdges(
        width: Int,
        rows: ((UnsafeBufferPointer<Float>) throws -> Void) throws -> Void,
        _ body: (UnsafeBufferPointer<Float>) throws -> Void
    ) throws {
        var line = [Float](repeating: 0, count: 3 * (left + width + right))
        var isFirst = true
        try withoutActuallyEscaping(body) { body in
            try rows { row in
                for x in 0..<left + width + right {
                    let from = min(max(x - left, 0), width - 1)
                    for c in 0..<3 { line[3 * x + c] = row[3 * from + c] }
                }
                let count = isFirst ? top + 1 : 1
                isFirst = false
                for _ in 0..<count { try line.withUnsafeBufferPointer(body) }
            }
        }
        for _ in 0..<bottom { try line.withUnsafeBufferPointer(body) }
    }

    /// Passes on the rows of the grown picture's mask: white where the picture is new.
    ///
    /// - Parameters:
    ///   - picture: size of the picture before it grows
    ///   - rows: iterates over the rows of the picture's mask, 3 · width samples each; nil if there is no mask, which is
    ///     like a black one
    ///   - body: called with each row
    /// - Throws: what `rows` and `body` throw
    func masking(
        _ picture: Extent,
        rows: (((UnsafeBufferPointer<Float>) throws -> Void) throws -> Void)?,
        _ body: (UnsafeBufferPointer<Float>) throws -> Void
    ) throws {
        let width = left + picture.width + right
        let white = [Float](repeating: 1, count: 3 * width)
        for _ in 0..<top { try white.withUnsafeBufferPointer(body) }
        var line = white
        let inside = 3 * left..<3 * (left + picture.width)
        if let rows {
            try withoutActuallyEscaping(body) { body in
                try rows { row in
                    for (i, value) in zip(inside, row) { line[i] = value }
                    try line.withUnsafeBufferPointer(body)
                }
            }
        } else {
            for i in inside { line[i] = 0 }
            for _ in 0..<picture.height { try line.withUnsafeBufferPointer(body) }
        }
        for _ in 0..<bottom { try white.withUnsafeBufferPointer(body) }
    }
}
