import Engine
import Sampling

/// Receives finished rows of the picture, from top to bottom.
package protocol PictureSink {
    /// Accepts the next rows, `[1, height, width, 3]`, −1…1.
    mutating func write(_ rows: Tensor) throws
}

extension Tensor {
    /// Passes on the rows of a picture `[1, height, width, 3]` from the top, scaled from −1…1 to 0…1 and clamped.
    func pictureRows(_ body: (UnsafeBufferPointer<Float>) throws -> Void) throws {
        let count = shape[2] * shape[3]
        var line = [Float](repeating: 0, count: count)
        try withFloats { x in
            for row in 0..<shape[1] {
                for i in 0..<count { line[i] = min(max(x[row * count + i] * 0.5 + 0.5, 0), 1) }
                try line.withUnsafeBufferPointer(body)
            }
        }
    }
}

/// Writes rows to a file as they arrive; also keeps them if `--dump` wants the whole picture.
package struct FileSink: PictureSink {
    private let writer: any PictureWriter
    private let depth: PixelDepth
    private let keeps: Bool
    private var bands: [Tensor] = []

    package init(_ writer: any PictureWriter, depth: PixelDepth, keeping: Bool = false) {
        (self.writer, self.depth) = (writer, depth)
        keeps = keeping
    }

    package mutating func write(_ rows: Tensor) throws {
        // In pieces, so that a wide picture needs little temporary memory.
        let (height, width) = (rows.shape[1], rows.shape[2])
        for top in stride(from: 0, to: height, by: Self.rowsAtOnce) {
            let count = min(Self.rowsAtOnce, height - top)
            let piece = rows.cropped(top: top, left: 0, height: count, width: width)
            try writer.write(rows: depth.bytes(piece))
        }
        if keeps { bands.append(rows) }
    }

    private static let rowsAtOnce = 64

    /// Closes the file and gives it its final name.
    ///
    /// - Parameter numbered: as for `PictureWriter.finish`
    /// - Returns: the final name
    /// - Throws: `OutputError` if the file cannot be completed
    @discardableResult
    package func finish(numbered: Bool = false) throws -> String {
        try writer.finish(numbered: numbered)
    }

    /// The rows that were kept, `[1, height, width, 3]`.
    package var picture: Tensor {
        Tensor(stacked: bands)
    }
}
