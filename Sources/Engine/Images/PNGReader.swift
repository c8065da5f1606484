import CPNG
import Foundation

/// A PNG, read by libpng.
final class PNGReader: PictureReader {
    private let path: String
    let width: Int
    let height: Int
    let layout: PixelLayout
    let colours: ColourDescription
    let orientation: Orientation
    private let passes: Int
    private let handle: OpaquePointer

    /// Reads everything that precedes the rows.
    ///
    /// - Parameters:
    ///   - path: path of the file
    ///   - descriptor: file descriptor, positioned at the beginning
    ///   - size: size of the file in bytes
    /// - Throws: `InputError` if this part of the file is damaged
    init(_ path: String, _ descriptor: Int32, size: Int) throws(InputError) {
        self.path = path
        guard let handle = tessera_png_reader_open_file(descriptor) else {
            throw InputError(path, "libpng could not be started", fix: "Free some memory")
        }
        self.handle = handle
        var header = tessera_png_header()
        var stored = tessera_png_rows_layout()
        var raw = tessera_png_colours()
        guard tessera_png_reader_plain_header(handle, &header, &stored, &raw) == 0 else {
            let reason = String(cString: tessera_png_reader_error(handle))
            tessera_png_reader_close(handle)
            throw .damagedPicture(path, "PNG", reason)
        }
        (width, height) = (Int(header.width), Int(header.height))
        let channels = Int(stored.channels)
        layout = PixelLayout(colour: channels <= 2 ? .grey : .rgb, hasAlpha: channels % 2 == 0)
        passes = Int(stored.passes)
        let chunks = PNGChunks(descriptor)
        var colours = ColourDescription(raw)
        (colours.coded, colours.depth) = (chunks.colours, chunks.depth)
        (self.colours, orientation) = (colours, chunks.orientation)
        // Rejects a small file that claims a huge picture before anything is allocated for it.
        guard Int(clamping: header.stored_bytes) / PNGImage.highestCompression <= size else {
            throw damaged("it is too short for \(width)×\(height) pixels")
        }
    }

    deinit { tessera_png_reader_close(handle) }

    private func damaged(_ reason: String) -> InputError {
        .damagedPicture(path, "PNG", reason)
    }

    func rows(
        _ observe: (Double) throws -> Void,
        _ body: (UnsafeMutableBufferPointer<UInt16>) throws -> Void
    ) throws {
        let count = width * layout.channels
        let all = Double(height * passes)
        var row = [UInt16](repeating: 0, count: count)
        try row.withUnsafeMutableBufferPointer { row in
            guard passes > 1 else {
                for y in 0..<height {
                    try read(row)
                    try body(row)
                    try observe(Double(y + 1) / all)
                }
                return
            }
            // The passes of an interlaced picture are combined on disk.
            let scratch = try ScratchFile(bytes: height * count * MemoryLayout<UInt16>.size)
            for pass in 0..<passes {
                for y in 0..<height {
                    if pass > 0 { try scratch.read(row, at: y * count) }
                    try read(row)
                    if pass < passes - 1 {
                        try scratch.write(UnsafeBufferPointer(row), at: y * count)
                    } else {
                        try body(row)
                    }
                    try observe(Double(pass * height + y + 1) / all)
                }
            }
        }
        guard tessera_png_reader_finish(handle) == 0 else { throw failure() }
    }

    private func read(_ row: UnsafeMutableBufferPointer<UInt16>) throws(InputError) {
        guard tessera_png_reader_row(handle, row.baseAddress) == 0 else { throw failure() }
    }

    private func failure() -> InputError {
        damaged(String(cString: tessera_png_reader_error(handle)))
    }
}

extension ColourDescription {
    fileprivate init(_ raw: tessera_png_colours) {
        if let start = raw.profile {
            profile = Array(UnsafeBufferPointer(start: start, count: raw.profile_size))
        }
        isSRGB = raw.is_srgb != 0
        if raw.gamma > 0 { gamma = raw.gamma }
        let places = withUnsafeBytes(of: raw.chromaticities) {
            Array($0.bindMemory(to: Double.self))
        }
        if places.contains(where: { $0 != 0 }) { chromaticities = places }
    }
}
