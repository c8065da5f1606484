import Engine

/// Receives finished rows of the picture, from top to bottom.
package protocol PictureSink {
    /// Takes the next rows, `[1, height, width, 3]`, −1…1.
    mutating func write(_ rows: Tensor) throws
}

extension Tensor {
    /// Pictures `[1, height, …, 3]` of one height, side by side.
    package init(sideBySide tiles: [Tensor]) {
        let (height, channels) = (tiles[0].shape[1], tiles[0].shape[3])
        let width = tiles.reduce(0) { $0 + $1.shape[2] }
        precondition(tiles.allSatisfy { $0.shape[1] == height && $0.shape[3] == channels })
        self.init(shape: [1, height, width, channels]) { out in
            var left = 0
            for tile in tiles {
                let line = tile.shape[2] * channels
                tile.withFloats { x in
                    for row in 0..<height {
                        let at = row * width * channels + left
                        let from = UnsafeBufferPointer(rebasing: x[row * line..<(row + 1) * line])
                        let to = UnsafeMutableBufferPointer(rebasing: out[at..<at + line])
                        _ = to.update(fromContentsOf: from)
                    }
                }
                left += line
            }
        }
    }
}

extension Tensor {
    /// Pictures `[1, …, width, channels]` of one width, one below the other.
    init(stacked rows: [Tensor]) {
        let (width, channels) = (rows[0].shape[2], rows[0].shape[3])
        precondition(rows.allSatisfy { $0.shape[2] == width && $0.shape[3] == channels })
        let height = rows.reduce(0) { $0 + $1.shape[1] }
        self.init(chaining: rows, shape: [1, height, width, channels])
    }
}

extension Tensor {
    /// The rows of a picture `[1, height, width, 3]` of −1…1, from the top, as 0…1 and clamped to it.
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

/// Writes rows to a file as they come; keeps them too where `--dump` wants the whole picture.
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
        // In pieces: what is kept of a wide picture stays small.
        let (height, width) = (rows.shape[1], rows.shape[2])
        for top in stride(from: 0, to: height, by: Self.rowsAtOnce) {
            let count = min(Self.rowsAtOnce, height - top)
            let piece = rows.cropped(top: top, left: 0, height: count, width: width)
            try writer.write(rows: depth.bytes(piece))
        }
        if keeps { bands.append(rows) }
    }

    private static let rowsAtOnce = 64

    /// Closes the file and gives it its name.
    ///
    /// - Throws: `OutputError` when the file cannot be completed
    package func finish() throws { try writer.finish() }

    /// The rows kept, `[1, height, width, 3]`.
    package var picture: Tensor {
        Tensor(stacked: bands)
    }
}
