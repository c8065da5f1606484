/// A picture at the size at which it is to be encoded, in a file of its own, from which parts are read:
/// however large it is, nothing but these is ever in memory. Its numbers have 16 bits.
///
/// Used by one thread at a time.
package final class ScaledPicture {
    /// Columns.
    package let width: Int
    /// Rows.
    package let height: Int
    private let scratch: ScratchFile

    private static let most: Float = 65535

    /// Reads the whole file once.
    ///
    /// - Parameters:
    ///   - file: the picture
    ///   - frame: what of it is shown
    ///   - height: rows that it is scaled to
    ///   - width: columns
    ///   - observe: is given the share that is read, after every row
    /// - Throws: `InputError` when the file is damaged, `OutputError` when the disk is full, and what
    ///   `observe` throws
    package convenience init(
        _ file: PictureFile,
        frame: PictureFrame,
        height: Int,
        width: Int,
        observe: (Double) throws -> Void = { _ in }
    ) throws {
        try self.init(
            frame,
            of: (file.height, file.width),
            height: height,
            width: width
        ) { try file.rows(observe: observe, $0) }
    }

    /// Scales rows as they come.
    ///
    /// - Parameters:
    ///   - frame: what of the source is shown
    ///   - source: rows and columns of the source
    ///   - height: rows that it is scaled to
    ///   - width: columns
    ///   - rows: calls what it is given with every row of the source from the top, numbers of 0…1
    /// - Throws: `OutputError` when the disk is full, and what `rows` throws
    package init(
        _ frame: PictureFrame,
        of source: (height: Int, width: Int),
        height: Int,
        width: Int,
        rows: ((UnsafeBufferPointer<Float>) throws -> Void) throws -> Void
    ) throws {
        (self.height, self.width) = (height, width)
        scratch = try ScratchFile(bytes: Self.bytes(height: height, width: width))
        var scaler = RowScaler(
            frame,
            height: source.height,
            width: source.width,
            to: (height, width),
            channels: 3
        )
        var (row, line) = (0, [UInt16](repeating: 0, count: 3 * width))
        try rows { input in
            try scaler.take(input) { done in
                for i in done.indices {
                    line[i] = UInt16((min(max(done[i], 0), 1) * Self.most).rounded())
                }
                try line.withUnsafeBufferPointer { line throws(OutputError) in
                    try scratch.write(line, at: row * line.count)
                }
                row += 1
            }
        }
        precondition(row == height, "\(row) of \(height) rows")
    }

    /// Bytes on disk of a picture of this size.
    package static func bytes(height: Int, width: Int) -> Int {
        3 * width * height * MemoryLayout<UInt16>.size
    }

    /// A part, `[1, rows, columns, 3]`, −1…1.
    ///
    /// - Throws: `OutputError` when the disk is broken
    package func part(_ region: Region) throws -> Tensor {
        let (rows, columns) = (region.rows.count, region.columns.count)
        var line = [UInt16](repeating: 0, count: 3 * columns)
        return try Tensor(shape: [1, rows, columns, 3]) { out in
            for (row, y) in region.rows.enumerated() {
                let place = 3 * (y * width + region.columns.lowerBound)
                try line.withUnsafeMutableBufferPointer { line throws(OutputError) in
                    try scratch.read(line, at: place)
                }
                for i in line.indices {
                    out[row * line.count + i] = Float(line[i]) / Self.most * 2 - 1
                }
            }
        }
    }
}
