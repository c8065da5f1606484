/// A picture in the orientation in which a file stores it.
package protocol StoredRows {
    /// Number of columns.
    var width: Int { get }
    /// Number of rows.
    var height: Int { get }
    /// Samples per pixel.
    var channels: Int { get }
    /// Passes every row in order, valid during the call; `body` may modify it.
    func rows(_ body: (UnsafeMutableBufferPointer<UInt16>) throws -> Void) throws
}

/// The orientation of a stored picture, with the values of Exif tag 0x0112: which rotation or mirror image of the
/// upright picture the file stores.
package enum Orientation: Int, CaseIterable {
    case upright = 1
    /// Mirrored horizontally.
    case mirrored
    /// Rotated by 180°.
    case half
    /// Mirrored vertically.
    case flipped
    /// Transposed.
    case transposed
    /// Must be rotated by 90° clockwise.
    case quarter
    /// Transposed along the other diagonal.
    case transverse
    /// Must be rotated by 90° counterclockwise.
    case threeQuarters

    /// Whether stored rows are columns of the upright picture.
    var exchangesSides: Bool { rawValue >= 5 }

    /// Whether the upright picture begins with what is stored last: the last row or, if sides
    /// are exchanged, the last column.
    var beginsAtTheEnd: Bool {
        switch self {
        case .half, .flipped, .transverse, .threeQuarters: true
        case .upright, .mirrored, .transposed, .quarter: false
        }
    }

    /// Whether the stored order runs from right to left in each row of the upright picture.
    var runsBackwards: Bool {
        switch self {
        case .mirrored, .half, .quarter, .transverse: true
        case .upright, .flipped, .transposed, .threeQuarters: false
        }
    }

    /// Reads the tag in the first directory of Exif data; nil if the data are damaged or do not contain it.
    ///
    /// - Parameter data: a TIFF header and what follows it, in either byte order; some programs prefix it with `Exif`
    ///   and two zero bytes, as in JPEG
    init?(exif data: [UInt8]) {
        let prefix = Array("Exif\0\0".utf8)
        let data = data.starts(with: prefix) ? Array(data.dropFirst(prefix.count)) : data
        let isLittle: Bool
        switch data.prefix(4) {
        case [0x49, 0x49, 42, 0]: isLittle = true
        case [0x4D, 0x4D, 0, 42]: isLittle = false
        default: return nil
        }
        func number(at place: Int, _ count: Int) -> Int? {
            guard place >= 0, place <= data.count - count else { return nil }
            let bytes = data[place..<place + count]
            return (isLittle ? Array(bytes.reversed()) : Array(bytes)).reduce(0) {
                $0 << 8 | Int($1)
            }
        }
        guard let directory = number(at: 4, 4), let count = number(at: directory, 2) else {
            return nil
        }
        for i in 0..<count {
            let entry = directory + 2 + 12 * i
            guard let tag = number(at: entry, 2) else { return nil }
            guard tag == 0x0112 else { continue }
            // One 16-bit value, or a 32-bit value as some programs write it.
            let sizes = [3: 2, 4: 4]
            guard let kind = number(at: entry + 2, 2), let size = sizes[kind],
                number(at: entry + 4, 4) == 1, let value = number(at: entry + 8, size)
            else { return nil }
            self.init(rawValue: value)
            return
        }
        return nil
    }
}

extension Orientation {
    /// Passes the rows of the upright picture, from top to bottom.
    ///
    /// - Parameters:
    ///   - picture: the stored picture
    ///   - block: approximate number of samples in memory while columns are read
    ///   - body: receives each row, valid during the call
    /// - Throws: `OutputError` if there is no disk space for a rotated picture, and whatever `picture` and `body` throw
    package func upright(
        _ picture: some StoredRows,
        block: Int = 1 << 24,
        _ body: (UnsafeMutableBufferPointer<UInt16>) throws -> Void
    ) throws {
        let (width, height, channels) = (picture.width, picture.height, picture.channels)
        if !exchangesSides, !beginsAtTheEnd {
            try picture.rows { row in
                if runsBackwards { Self.reverse(row, channels) }
                try body(row)
            }
            return
        }
        let line = width * channels
        let scratch = try ScratchFile(bytes: height * line * MemoryLayout<UInt16>.size)
        var next = 0
        try picture.rows { row in
            try scratch.write(UnsafeBufferPointer(row), at: next * line)
            next += 1
        }
        if exchangesSides {
            let maxColumns = max(1, min(width, block / (height * channels)))
            try columns(
                scratch,
                width: width,
                height: height,
                channels: channels,
                maxColumns: maxColumns,
                body
            )
        } else {
            var row = [UInt16](repeating: 0, count: line)
            try row.withUnsafeMutableBufferPointer { row in
                for y in (0..<height).reversed() {
                    try scratch.read(row, at: y * line)
                    if runsBackwards { Self.reverse(row, channels) }
                    try body(row)
                }
            }
        }
    }

    /// Passes the columns of a file as rows, with at most `maxColumns` of them in memory at once.
    private func columns(
        _ scratch: ScratchFile,
        width: Int,
        height: Int,
        channels: Int,
        maxColumns: Int,
        _ body: (UnsafeMutableBufferPointer<UInt16>) throws -> Void
    ) throws {
        var part = [UInt16](repeating: 0, count: maxColumns * channels * height)
        var row = [UInt16](repeating: 0, count: height * channels)
        for first in stride(from: 0, to: width, by: maxColumns) {
            let count = min(maxColumns, width - first)
            // Blocks start at the right if the last column comes first.
            let left = beginsAtTheEnd ? width - first - count : first
            try part.withUnsafeMutableBufferPointer { part in
                for y in 0..<height {
                    let line = UnsafeMutableBufferPointer(
                        rebasing: part[y * count * channels..<(y + 1) * count * channels]
                    )
                    try scratch.read(line, at: (y * width + left) * channels)
                }
                try row.withUnsafeMutableBufferPointer { row in
                    for i in 0..<count {
                        let column = beginsAtTheEnd ? count - 1 - i : i
                        for y in 0..<height {
                            let x = runsBackwards ? height - 1 - y : y
                            for c in 0..<channels {
                                row[x * channels + c] = part[(y * count + column) * channels + c]
                            }
                        }
                        try body(row)
                    }
                }
            }
        }
    }

    /// Reverses the pixels of a row.
    private static func reverse(_ row: UnsafeMutableBufferPointer<UInt16>, _ channels: Int) {
        let count = row.count / channels
        for i in 0..<count / 2 {
            for c in 0..<channels { row.swapAt(i * channels + c, (count - 1 - i) * channels + c) }
        }
    }
}
