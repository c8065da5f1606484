import Engine

/// Receives finished rows of the picture, from top to bottom.
package protocol PictureSink {
    /// Takes the next rows, `[1, height, width, 3]`, −1…1.
    mutating func write(_ rows: Tensor) throws
}

/// Joins decoded tiles into rows of the picture, cross-fading overlaps, and passes every row on as
/// soon as it is complete; holds one row of tiles at most.
package struct PictureAssembly {
    private let plan: DecodePlan
    private var next = 0
    /// Rows below the finished ones, still to be faded with the next row of tiles.
    private var pending: Tensor?

    package init(_ plan: DecodePlan) {
        self.plan = plan
    }

    /// Takes the next row of tiles, each `[1, height, width, 3]`, and returns the rows of the picture
    /// that are now complete.
    package mutating func add(_ tiles: [Tensor]) -> Tensor {
        let span = plan.rows[next]
        var strip = tiles[0]
        for (i, tile) in tiles.enumerated().dropFirst() {
            let shared = plan.columns[i - 1].upperBound - plan.columns[i].lowerBound
            strip = Self.join(strip, tile, axis: 2, overlap: shared * plan.factor)
        }
        if let above = pending { strip = Self.join(above, strip, axis: 1, overlap: above.shape[1]) }
        next += 1
        guard next < plan.rows.count else {
            pending = nil
            return strip
        }
        let open = (span.upperBound - plan.rows[next].lowerBound) * plan.factor
        let complete = strip.shape[1] - open
        pending = strip.cropped(top: complete, left: 0, height: open, width: strip.shape[2])
        return strip.cropped(top: 0, left: 0, height: complete, width: strip.shape[2])
    }

    /// Joins two pictures along an axis; over the last `overlap` lines of `a` and the first of `b`
    /// the weight of `b` rises in a straight line.
    private static func join(_ a: Tensor, _ b: Tensor, axis: Int, overlap: Int) -> Tensor {
        let outer = a.shape[..<axis].reduce(1, *)
        let inner = a.shape[(axis + 1)...].reduce(1, *)
        let (lengthA, lengthB) = (a.shape[axis], b.shape[axis])
        var shape = a.shape
        shape[axis] = lengthA + lengthB - overlap
        let start = lengthA - overlap
        return Tensor(shape: shape) { out in
            a.withFloats { a in
                b.withFloats { b in
                    for o in 0..<outer {
                        for line in 0..<shape[axis] {
                            let to = (o * shape[axis] + line) * inner
                            let fromA = (o * lengthA + line) * inner
                            let fromB = (o * lengthB + line - start) * inner
                            if line < start {
                                for i in 0..<inner { out[to + i] = a[fromA + i] }
                            } else if line >= lengthA {
                                for i in 0..<inner { out[to + i] = b[fromB + i] }
                            } else {
                                let share = (Float(line - start) + 0.5) / Float(overlap)
                                for i in 0..<inner {
                                    out[to + i] = a[fromA + i] * (1 - share) + b[fromB + i] * share
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Writes rows to a PNG as they come; keeps them too where `--dump` wants the whole picture.
package struct PNGSink: PictureSink {
    private let writer: PNGWriter
    private let keeps: Bool
    private var bands: [Tensor] = []

    package init(_ writer: PNGWriter, keeping: Bool = false) {
        self.writer = writer
        keeps = keeping
    }

    package mutating func write(_ rows: Tensor) throws {
        try writer.write(rows: PNGSink.bytes(rows))
        if keeps { bands.append(rows) }
    }

    /// Closes the file and gives it its name.
    ///
    /// - Throws: `OutputError` when the file cannot be completed
    package func finish() throws { try writer.finish() }

    /// The rows kept, `[1, height, width, 3]`.
    package var picture: Tensor {
        let width = bands.first?.shape[2] ?? 0
        let height = bands.reduce(0) { $0 + $1.shape[1] }
        return Tensor(bands.flatMap(\.values), shape: [1, height, width, 3])
    }

    /// −1…1 to 0…255, rounded to nearest.
    package static func bytes(_ rows: Tensor) -> [UInt8] {
        rows.withFloats { x in
            x.map { UInt8((min(max($0 * 0.5 + 0.5, 0), 1) * 255).rounded()) }
        }
    }
}
