import CTIFF

/// Writes a BigTIFF of 512 × 512 tiles with lossless compression, followed by a pyramid of copies at half the size, a
/// quarter, and so on, as programs for print and deep zoom expect.
///
/// Holds one row of tiles in memory: the copies are made at the end, each from the previous one in the file.
package final class TIFFWriter: PictureWriter {
    private let file: TemporaryFile
    private let handle: OpaquePointer
    private let width: Int
    private let height: Int
    private let depth: PixelDepth
    private let software: String?
    /// Pixels of the current row of tiles, and the number of pixel rows filled so far.
    private var strip: [UInt8]
    private var filled = 0
    private var written = 0

    private static let side = Int(TESSERA_TIFF_TILE)

    /// - Parameters:
    ///   - path: final name
    ///   - width: in pixels
    ///   - height: in pixels
    ///   - depth: bits per sample
    ///   - description: describes the picture, for people and other programs
    ///   - software: the program that made it
    ///   - settings: how it was made, as JSON, in a private tag
    /// - Throws: `OutputError` if the file cannot be written
    package init(
        file path: String,
        width: Int,
        height: Int,
        depth: PixelDepth = .eight,
        description: String? = nil,
        software: String? = nil,
        settings: String? = nil
    ) throws(OutputError) {
        precondition(width > 0 && height > 0, "\(width)×\(height)")
        file = try TemporaryFile(for: path)
        (self.width, self.height, self.depth) = (width, height, depth)
        self.software = software
        strip = [UInt8](repeating: 0, count: Self.side * width * depth.pixel)
        guard let handle = tessera_tiff_open(file.descriptor) else {
            throw OutputError(path, "libtiff could not be started")
        }
        self.handle = handle
        try check(
            tessera_tiff_begin(
                handle,
                UInt32(width),
                UInt32(height),
                Int32(depth.rawValue),
                0,
                description,
                software,
                settings
            )
        )
    }

    deinit { tessera_tiff_close(handle) }

    package func write(rows: [UInt8]) throws(OutputError) {
        let line = width * depth.pixel
        precondition(rows.count % line == 0, "\(rows.count) bytes of width \(width)")
        var from = 0
        while from < rows.count {
            let room = (Self.side - filled) * line
            let count = min(room, rows.count - from)
            let to = filled * line
            strip.replaceSubrange(to..<to + count, with: rows[from..<from + count])
            from += count
            filled += count / line
            precondition(written + filled <= height, "more than \(height) rows")
            if filled == Self.side { try writeStrip() }
        }
    }

    private func writeStrip() throws(OutputError) {
        let (pixel, side) = (depth.pixel, Self.side)
        var tile = [UInt8](repeating: 0, count: side * side * pixel)
        for x in stride(from: 0, to: width, by: side) {
            let columns = min(side, width - x)
            if columns < side { tile = [UInt8](repeating: 0, count: tile.count) }
            for row in 0..<filled {
                let from = (row * width + x) * pixel
                let to = row * side * pixel
                tile.withUnsafeMutableBytes { tile in
                    strip.withUnsafeBytes { strip in
                        tile[to..<to + columns * pixel]
                            .copyBytes(from: strip[from..<from + columns * pixel])
                    }
                }
            }
            try check(tessera_tiff_put(handle, UInt32(x), UInt32(written), tile, tile.count))
        }
        written += filled
        filled = 0
    }

    package func finish(numbered: Bool) throws(OutputError) -> String {
        precondition(written + filled == height, "\(written + filled) of \(height) rows")
        if filled > 0 {
            let line = width * depth.pixel
            for i in filled * line..<strip.count { strip[i] = 0 }
            try writeStrip()
        }
        strip = []
        try check(tessera_tiff_end(handle))
        var (level, size) = (0, (width: width, height: height))
        while max(size.width, size.height) > Self.side {
            size = try halve(level, size)
            level += 1
        }
        try check(tessera_tiff_finish(handle))
        return try file.commit(numbered: numbered)
    }

    /// Writes a copy at half the size.
    private func halve(
        _ level: Int,
        _ size: (width: Int, height: Int)
    ) throws(OutputError) -> (width: Int, height: Int) {
        let half = (width: (size.width + 1) / 2, height: (size.height + 1) / 2)
        let side = Self.side
        try check(tessera_tiff_look(handle, Int32(level)))
        try check(
            tessera_tiff_begin(
                handle,
                UInt32(half.width),
                UInt32(half.height),
                Int32(depth.rawValue),
                1,
                nil,
                software,
                nil
            )
        )
        let bytes = side * side * depth.pixel
        var source = [UInt8](repeating: 0, count: bytes)
        for y in stride(from: 0, to: half.height, by: side) {
            for x in stride(from: 0, to: half.width, by: side) {
                var tile = [UInt8](repeating: 0, count: bytes)
                for quarter in 0..<4 {
                    let at = (x: 2 * x + quarter % 2 * side, y: 2 * y + quarter / 2 * side)
                    guard at.x < size.width, at.y < size.height else { continue }
                    try check(
                        tessera_tiff_get(handle, UInt32(at.x), UInt32(at.y), &source, bytes)
                    )
                    let valid = (min(side, size.width - at.x), min(side, size.height - at.y))
                    let to = (quarter / 2 * side / 2 * side + quarter % 2 * side / 2) * 3
                    switch depth {
                    case .eight: Self.halve(source, as: UInt8.self, valid, into: &tile, at: to)
                    case .sixteen: Self.halve(source, as: UInt16.self, valid, into: &tile, at: to)
                    }
                }
                try check(tessera_tiff_put(handle, UInt32(x), UInt32(y), tile, bytes))
            }
        }
        try check(tessera_tiff_end(handle))
        return half
    }

    /// Means of 2 × 2 pixels of a tile, rounded to nearest; at the edges, only of existing pixels.
    private static func halve<Number: FixedWidthInteger & UnsignedInteger>(
        _ tile: [UInt8],
        as kind: Number.Type,
        _ valid: (width: Int, height: Int),
        into result: inout [UInt8],
        at: Int
    ) {
        tile.withUnsafeBytes { tile in
            result.withUnsafeMutableBytes { result in
                let from = tile.bindMemory(to: Number.self)
                let to = result.bindMemory(to: Number.self)
                for row in 0..<(valid.height + 1) / 2 {
                    let rows = (2 * row, min(2 * row + 1, valid.height - 1))
                    for column in 0..<(valid.width + 1) / 2 {
                        let columns = (2 * column, min(2 * column + 1, valid.width - 1))
                        for channel in 0..<3 {
                            func value(_ row: Int, _ column: Int) -> UInt32 {
                                UInt32(from[(row * side + column) * 3 + channel])
                            }
                            let sum =
                                value(rows.0, columns.0) + value(rows.0, columns.1)
                                + value(rows.1, columns.0) + value(rows.1, columns.1)
                            to[at + (row * side + column) * 3 + channel] = Number((sum + 2) / 4)
                        }
                    }
                }
            }
        }
    }

    private func check(_ status: Int32) throws(OutputError) {
        guard status == 0 else {
            throw OutputError(file.path, String(cString: tessera_tiff_error(handle)))
        }
    }
}
