import Foundation

/// A picture read from a PNG, JPEG, WebP or TIFF as sRGB, row by row if the format allows it. Any stored
/// samples and colours are accepted: 1 to 32 bits, floats, greyscale, RGB, CMYK or a palette, interlaced or
/// progressive, with any Exif orientation, ICC profile, gamma and primaries, in high dynamic range. Transparent
/// pixels are blended with white.
///
/// Used by one thread at a time.
package final class PictureFile {
    package let path: String
    /// Number of columns.
    package let width: Int
    /// Number of rows.
    package let height: Int
    /// Open as long as this object lives, so that replacing the file under the same name has no effect.
    private let descriptor: Int32
    /// Size of the file in bytes.
    private let size: Int

    /// Maximum size of a picture, in pixels.
    package static let largestArea = 1 << 30

    /// Reads everything that precedes the rows.
    ///
    /// - Throws: `InputError` if the file is missing, too large, of an unsupported format, or damaged in this part
    package init(_ path: String) throws(InputError) {
        self.path = path
        let (descriptor, size) = try InputFile.open(path)
        do throws(InputError) {
            let reader = try Self.reader(path, descriptor, size)
            let (width, height) = reader.uprightSize
            guard width * height <= Self.largestArea else {
                throw InputError(
                    path,
                    "it is \(width)×\(height)",
                    fix: "Use at most \(Self.largestArea) pixels"
                )
            }
            if let conversion = try reader.conversion(path) { withExtendedLifetime(conversion) {} }
            (self.width, self.height) = (width, height)
        } catch {
            close(descriptor)
            throw error
        }
        (self.descriptor, self.size) = (descriptor, size)
    }

    deinit { close(descriptor) }

    /// A reader at the beginning of a file, chosen by its first bytes.
    private static func reader(
        _ path: String,
        _ descriptor: Int32,
        _ size: Int
    ) throws(InputError) -> any PictureReader {
        guard lseek(descriptor, 0, SEEK_SET) == 0 else {
            throw InputError(path, "it cannot be read", fix: "Check the disk")
        }
        let kind = PictureKind(descriptor)
        switch kind {
        case .png: return try PNGReader(path, descriptor, size: size)
        case .jpeg: return try JPEGReader(path, descriptor, size: size)
        case .webP: return try WebPReader(path, descriptor, size: size)
        case .tiff: return try TIFFReader(path, descriptor, size: size)
        case nil:
            throw InputError(
                path,
                "it is not a picture: it begins like no PNG, JPEG, WebP or TIFF",
                fix: "Name a picture, or fetch it again"
            )
        case let other?: throw other.error(path)
        }
    }

    /// Reads all rows, from top to bottom.
    ///
    /// - Parameters:
    ///   - observe: receives the fraction that has been read, after every row of every pass
    ///   - body: receives 3 · width samples of 0…1 for each row, valid during the call
    /// - Throws: `InputError` if the file is damaged, `OutputError` if there is no disk space for an interlaced one,
    ///   and whatever `observe` and `body` throw
    package func rows(
        observe: (Double) throws -> Void = { _ in },
        _ body: (UnsafeBufferPointer<Float>) throws -> Void
    ) throws {
        let reader = try openedReader()
        var converter = try RowConverter(reader, path)
        try reader.uprightRows(observe) { try converter.convert($0, body) }
    }

    /// A reader at the beginning of the file.
    ///
    /// - Throws: `InputError` if the size of the file has changed
    func openedReader() throws(InputError) -> any PictureReader {
        let reader = try Self.reader(path, descriptor, size)
        guard reader.uprightSize == (width, height) else {
            throw InputError(
                path,
                "it was changed during the render",
                fix: "Do not modify it while it is in use"
            )
        }
        return reader
    }
}

/// Converts a file's samples to sRGB.
private struct RowConverter {
    private let layout: PixelLayout
    private let conversion: (any PixelConversion)?
    private var colours: [Float]
    private var rgb: [Float]

    /// Background for transparent pixels: white.
    private static let background: Float = 1

    init(_ reader: any PictureReader, _ path: String) throws(InputError) {
        layout = reader.layout
        conversion = try reader.conversion(path)
        let width = reader.uprightSize.width
        colours = Array(repeating: 0, count: width * layout.colour.rawValue)
        rgb = Array(repeating: 0, count: width * 3)
    }

    /// Passes 3 · width samples of 0…1 to `body`.
    mutating func convert(
        _ row: UnsafeMutableBufferPointer<UInt16>,
        _ body: (UnsafeBufferPointer<Float>) throws -> Void
    ) rethrows {
        let (channels, own) = (layout.channels, layout.colour.rawValue)
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
