import CJPEG
import Foundation

/// A JPEG, read by libjpeg: 8 bits, grey, RGB, YCbCr or CMYK, baseline or progressive.
final class JPEGReader: PictureReader {
    private let path: String
    let width: Int
    let height: Int
    let layout: PixelLayout
    let colours: ColourDescription
    let orientation: Orientation
    private let handle: OpaquePointer

    /// Maximum pixels per byte of the file: a coded block of 64 pixels takes at least one bit in any kind of JPEG.
    private static let highestCompression = 512

    /// Reads everything that precedes the rows.
    ///
    /// - Parameters:
    ///   - path: path of the file
    ///   - descriptor: file descriptor, positioned at the beginning
    ///   - size: size of the file in bytes
    /// - Throws: `InputError` if this part of the file is damaged
    init(_ path: String, _ descriptor: Int32, size: Int) throws(InputError) {
        self.path = path
        guard let handle = tessera_jpeg_reader_open(descriptor) else {
            throw InputError(path, "libjpeg could not be started", fix: "Free some memory")
        }
        self.handle = handle
        var header = tessera_jpeg_header()
        guard tessera_jpeg_reader_header(handle, &header) == 0 else {
            let reason = String(cString: tessera_jpeg_reader_error(handle))
            tessera_jpeg_reader_close(handle)
            throw .damagedPicture(path, "JPEG", reason)
        }
        (width, height) = (Int(header.width), Int(header.height))
        layout = PixelLayout(
            colour: PixelLayout.Colour(rawValue: Int(header.channels)) ?? .rgb,
            hasAlpha: false
        )
        let segments = JPEGSegments(descriptor)
        var colours = ColourDescription()
        colours.profile = segments.profile
        self.colours = colours
        orientation = segments.exif.flatMap { Orientation(exif: $0) } ?? .upright
        guard width * height / Self.highestCompression <= size else {
            throw InputError.damagedPicture(
                path,
                "JPEG",
                "it is too short for \(width)×\(height) pixels"
            )
        }
    }

    deinit { tessera_jpeg_reader_close(handle) }

    func rows(
        _ observe: (Double) throws -> Void,
        _ body: (UnsafeMutableBufferPointer<UInt16>) throws -> Void
    ) throws {
        var row = [UInt16](repeating: 0, count: width * layout.channels)
        try row.withUnsafeMutableBufferPointer { row in
            for y in 0..<height {
                guard tessera_jpeg_reader_row(handle, row.baseAddress) == 0 else {
                    throw failure()
                }
                try body(row)
                try observe(Double(y + 1) / Double(height))
            }
        }
        guard tessera_jpeg_reader_finish(handle) == 0 else { throw failure() }
    }

    private func failure() -> InputError {
        .damagedPicture(path, "JPEG", String(cString: tessera_jpeg_reader_error(handle)))
    }
}
