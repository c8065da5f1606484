/// A picture scaled to the size at which it is encoded, in a temporary file from which parts are read: however large it
/// is, only these parts are ever in memory.
///
/// Used by one thread at a time.
package final class ScaledPicture {
    /// How its samples are stored.
    package enum Numbers: Sendable {
        /// As 16-bit integers, for pictures with at most 16 bits per sample.
        case rounded
        /// Unchanged, as float32.
        case exact

        fileprivate var size: Int {
            switch self {
            case .rounded: MemoryLayout<UInt16>.size
            case .exact: MemoryLayout<Float>.size
            }
        }
    }

    /// Number of columns.
    package let width: Int
    /// Number of rows.
    package let height: Int
    private let numbers: Numbers
    private let scratch: ScratchFile

    private static let maxLevel: Float = 65535

    /// Reads the whole file once.
    ///
    /// - Parameters:
    ///   - file: the picture
    ///   - frame: the crop of the picture
    ///   - height: number of rows after scaling
    ///   - width: number of columns after scaling
    ///   - observe: receives the fraction that has been read, after every row
    /// - Throws: `InputError` if the file is damaged, `OutputError` if the disk is full, and whatever `observe` throws
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
            width: width,
            numbers: .rounded
        ) { try file.rows(observe: observe, $0) }
    }

    /// Scales rows as they arrive.
    ///
    /// - Parameters:
    ///   - frame: the crop of the source
    ///   - source: rows and columns of the source
    ///   - height: number of rows after scaling
    ///   - width: number of columns after scaling
    ///   - numbers: how samples are stored
    ///   - rows: calls its argument with every row of the source from top to bottom, samples of 0…1
    /// - Throws: `OutputError` if the disk is full, and whatever `rows` throws
    package init(
        _ frame: PictureFrame,
        of source: (height: Int, width: Int),
        height: Int,
        width: Int,
        numbers: Numbers,
        rows: ((UnsafeBufferPointer<Float>) throws -> Void) throws -> Void
    ) throws {
        (self.height, self.width, self.numbers) = (height, width, numbers)
        scratch = try ScratchFile(bytes: Self.bytes(height: height, width: width, numbers))
        var scaler = RowScaler(
            frame,
            height: source.height,
            width: source.width,
            to: (height, width),
            channels: 3
        )
        var row = 0
        var line = [Float](repeating: 0, count: 3 * width)
        try rows { input in
            try scaler.take(input) { done in
                for i in done.indices { line[i] = min(max(done[i], 0), 1) }
                try write(line, row: row)
                row += 1
            }
        }
        precondition(row == height, "\(row) of \(height) rows")
    }

    /// Bytes on disk for a picture of this size.
    package static func bytes(height: Int, width: Int, _ numbers: Numbers) -> Int {
        3 * width * height * numbers.size
    }

    /// Reads a part of the picture, `[1, rows, columns, 3]`, −1…1.
    ///
    /// - Throws: `OutputError` if the disk fails
    package func part(_ region: Region) throws -> Tensor {
        let (rows, columns) = (region.rows.count, region.columns.count)
        return try Tensor(shape: [1, rows, columns, 3]) { out in
            for (row, y) in region.rows.enumerated() {
                let place = 3 * (y * width + region.columns.lowerBound)
                let count = 3 * columns
                let line = UnsafeMutableBufferPointer(
                    rebasing: out[row * count..<(row + 1) * count]
                )
                switch numbers {
                case .exact: try scratch.read(line, at: place)
                case .rounded: _ = line.update(fromContentsOf: try read(place, count: count))
                }
                for i in line.indices { line[i] = line[i] * 2 - 1 }
            }
        }
    }

    /// Passes every row from top to bottom, as 3 · width samples of 0…1.
    ///
    /// - Throws: `OutputError` if the disk fails, and whatever `body` throws
    package func eachRow(_ body: (UnsafeBufferPointer<Float>) throws -> Void) throws {
        for row in 0..<height {
            try read(3 * row * width, count: 3 * width).withUnsafeBufferPointer(body)
        }
    }

    private func write(_ line: [Float], row: Int) throws {
        let place = row * line.count
        switch numbers {
        case .exact: try line.withUnsafeBufferPointer { try scratch.write($0, at: place) }
        case .rounded:
            let levels = line.map { UInt16(($0 * Self.maxLevel).rounded()) }
            try levels.withUnsafeBufferPointer { try scratch.write($0, at: place) }
        }
    }

    private func read(_ place: Int, count: Int) throws -> [Float] {
        func read<T: BitwiseCopyable>(_ zero: T) throws -> [T] {
            var line = Array(repeating: zero, count: count)
            try line.withUnsafeMutableBufferPointer { try scratch.read($0, at: place) }
            return line
        }
        switch numbers {
        case .exact: return try read(Float(0))
        case .rounded: return try read(UInt16(0)).map { Float($0) / Self.maxLevel }
        }
    }
}
