import CPNG
import Foundation

/// A picture that is read from a PNG row by row, as sRGB, whatever the file's format: 1 to 16 bits, greyscale, RGB
/// or a palette, interlaced or not, with any Exif orientation, ICC profile, gamma and primaries, in high
/// dynamic range. Transparent pixels are blended with white.
///
/// Used by one thread at a time.
package final class PictureFile {
    package let path: String
    /// Columns.
    package let width: Int
    /// Rows.
    package let height: Int
    /// Open while this object lives: replacing the file under the same name has no effect.
    private let descriptor: Int32

    /// Maximum size of a picture, in pixels.
    package static let largestArea = 1 << 30

    /// Reads everything that precedes the rows.
    ///
    /// - Throws: `InputError` when the file is missing, no PNG, damaged there or too large
    package init(_ path: String) throws(InputError) {
        self.path = path
        let (descriptor, size) = try InputFile.open(path)
        do throws(InputError) {
            let reader = try RowReader(path, descriptor)
            let (width, height) = reader.uprightSize
            guard width * height <= Self.largestArea else {
                throw InputError(
                    path,
                    "it is \(width)×\(height)",
                    fix: "Use at most \(Self.largestArea) pixels"
                )
            }
            // A small file that claims a huge picture is rejected before anything is allocated for it.
            guard reader.storedBytes / PNGImage.highestCompression <= size else {
                throw reader.damaged("it is too short for \(width)×\(height) pixels")
            }
            if let conversion = try reader.conversion() { withExtendedLifetime(conversion) {} }
            (self.width, self.height) = (width, height)
        } catch {
            close(descriptor)
            throw error
        }
        self.descriptor = descriptor
    }

    deinit { close(descriptor) }

    /// Reads all rows, from the top.
    ///
    /// - Parameters:
    ///   - observe: is passed the fraction that is read, after every row of every pass
    ///   - body: is passed 3 · width samples of 0…1 for each row, valid for the call
    /// - Throws: `InputError` when the file is damaged, `OutputError` when there is no disk space for an
    ///   interlaced one, and whatever `observe` and `body` throw
    package func rows(
        observe: (Double) throws -> Void = { _ in },
        _ body: (UnsafeBufferPointer<Float>) throws -> Void
    ) throws {
        let reader = try RowReader(path, descriptor)
        guard reader.uprightSize == (width, height) else {
            throw InputError(
                path,
                "it was changed during the render",
                fix: "Do not modify it while it is in use"
            )
        }
        var converter = try RowConverter(reader)
        try reader.uprightRows(observe) { try converter.convert($0, body) }
    }
}

/// libpng, reading one picture from its beginning.
private final class RowReader {
    let path: String
    let width: Int
    let height: Int
    /// Size of all rows before compression, in bytes.
    let storedBytes: Int
    let channels: Int
    private let passes: Int
    private let colours: ColourDescription
    private let orientation: Orientation
    private let handle: OpaquePointer

    var hasAlpha: Bool { channels % 2 == 0 }

    init(_ path: String, _ descriptor: Int32) throws(InputError) {
        self.path = path
        guard lseek(descriptor, 0, SEEK_SET) == 0,
            let handle = tessera_png_reader_open_file(descriptor)
        else { throw InputError(path, "libpng could not be started", fix: "Free some memory") }
        var header = tessera_png_header()
        var layout = tessera_png_rows_layout()
        var raw = tessera_png_colours()
        guard tessera_png_reader_plain_header(handle, &header, &layout, &raw) == 0 else {
            defer { tessera_png_reader_close(handle) }
            if let other = OtherPicture(descriptor) { throw other.error(path) }
            throw Self.damaged(path, String(cString: tessera_png_reader_error(handle)))
        }
        self.handle = handle
        (width, height) = (Int(header.width), Int(header.height))
        storedBytes = Int(clamping: header.stored_bytes)
        (channels, passes) = (Int(layout.channels), Int(layout.passes))
        let chunks = PNGChunks(descriptor)
        var colours = ColourDescription(raw)
        (colours.coded, colours.depth) = (chunks.colours, chunks.depth)
        (self.colours, orientation) = (colours, chunks.orientation)
    }

    deinit { tessera_png_reader_close(handle) }

    /// Nil where the colours are sRGB already.
    func conversion() throws(InputError) -> (any PixelConversion)? {
        try colours.conversion(isGrey: channels <= 2, path: path)
    }

    /// Columns and rows of the upright picture.
    var uprightSize: (width: Int, height: Int) {
        orientation.exchangesSides ? (height, width) : (width, height)
    }

    func damaged(_ reason: String) -> InputError { Self.damaged(path, reason) }

    private static func damaged(_ path: String, _ reason: String) -> InputError {
        InputError(path, "it is not a whole PNG: \(reason)", fix: "Name a PNG, or fetch it again")
    }

    /// Reads all rows of samples of the upright picture.
    func uprightRows(
        _ observe: (Double) throws -> Void,
        _ body: (UnsafeMutableBufferPointer<UInt16>) throws -> Void
    ) throws {
        try withoutActuallyEscaping(observe) { observe in
            try orientation.upright(ObservedRows(reader: self, observe: observe), body)
        }
    }

    /// Reads all rows of samples as they are stored.
    func rows(
        _ observe: (Double) throws -> Void,
        _ body: (UnsafeMutableBufferPointer<UInt16>) throws -> Void
    ) throws {
        let count = width * channels
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

/// The rows of a reader that reports its progress.
private struct ObservedRows: StoredRows {
    let reader: RowReader
    let observe: (Double) throws -> Void

    var width: Int { reader.width }
    var height: Int { reader.height }
    var channels: Int { reader.channels }

    func rows(_ body: (UnsafeMutableBufferPointer<UInt16>) throws -> Void) throws {
        try reader.rows(observe, body)
    }
}

/// Converts a file's samples to sRGB.
private struct RowConverter {
    private let channels: Int
    private let conversion: (any PixelConversion)?
    private var colours: [Float]
    private var rgb: [Float]

    /// The background of transparent pixels.
    private static let background: Float = 1

    init(_ reader: RowReader) throws(InputError) {
        channels = reader.channels
        conversion = try reader.conversion()
        let width = reader.uprightSize.width
        colours = Array(repeating: 0, count: width * (reader.channels <= 2 ? 1 : 3))
        rgb = Array(repeating: 0, count: width * 3)
    }

    /// Passes 3 · width samples of 0…1 to `body`.
    mutating func convert(
        _ row: UnsafeMutableBufferPointer<UInt16>,
        _ body: (UnsafeBufferPointer<Float>) throws -> Void
    ) rethrows {
        let (channels, own) = (channels, channels <= 2 ? 1 : 3)
        let count = row.count / channels
        colours.withUnsafeMutableBufferPointer { colours in
            for i in 0..<count {
                for c in 0..<own {
                    colours[i * own + c] = Float(row[i * channels + c]) / 65535
                }
            }
        }
        let conversion = conversion
        try rgb.withUnsafeMutableBufferPointer { rgb in
            colours.withUnsafeMutableBufferPointer { colours in
                if let conversion {
                    conversion.convert(colours, to: rgb, count: count)
                } else {
                    for i in 0..<count {
                        for c in 0..<3 { rgb[3 * i + c] = colours[i * own + min(c, own - 1)] }
                    }
                }
            }
            let behind = Self.background
            for i in 0..<count {
                let alpha = channels > own ? Float(row[i * channels + own]) / 65535 : 1
                for c in 0..<3 {
                    let colour = min(max(rgb[3 * i + c], 0), 1)
                    rgb[3 * i + c] = behind + (colour - behind) * alpha
                }
            }
            try body(UnsafeBufferPointer(rgb))
        }
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
