import CTIFF
import Foundation

/// The first picture of a TIFF or BigTIFF, read by libtiff: integers of 1 to 16 and 32 bits, and floats; grey, RGB,
/// CMYK or a palette; strips or tiles; with the compression methods that image editors write.
final class TIFFReader: PictureReader {
    private let path: String
    let width: Int
    let height: Int
    let layout: PixelLayout
    let colours: ColourDescription
    let orientation: Orientation
    /// The description (in a picture made by Tessera, its line of settings), the settings as JSON, and the software.
    let texts: [String: String]
    /// Bits per sample as stored.
    let depth: Int
    private let handle: OpaquePointer

    /// Reads everything that precedes the rows.
    ///
    /// - Parameters:
    ///   - path: path of the file
    ///   - descriptor: file descriptor; its position does not matter
    ///   - size: size of the file in bytes
    /// - Throws: `InputError` if this part of the file is damaged, or the type of its samples is not supported
    init(_ path: String, _ descriptor: Int32, size: Int) throws(InputError) {
        self.path = path
        guard let handle = tessera_tiff_reader_open(descriptor) else {
            throw InputError(path, "libtiff could not be started", fix: "Free some memory")
        }
        self.handle = handle
        var header = tessera_tiff_header()
        guard tessera_tiff_reader_header(handle, &header) == 0 else {
            let reason = String(cString: tessera_tiff_reader_error(handle))
            tessera_tiff_reader_close(handle)
            throw Self.fault(path, reason)
        }
        (width, height) = (Int(header.width), Int(header.height))
        layout = PixelLayout(
            colour: PixelLayout.Colour(rawValue: Int(header.colours)) ?? .rgb,
            hasAlpha: header.has_alpha != 0
        )
        var colours = ColourDescription()
        if let start = header.profile {
            colours.profile = Array(UnsafeBufferPointer(start: start, count: header.profile_size))
        }
        self.colours = colours
        var texts: [String: String] = [:]
        texts["parameters"] = header.description.map { String(cString: $0) }
        texts["Software"] = header.software.map { String(cString: $0) }
        if let start = header.settings {
            let bytes = UnsafeRawBufferPointer(start: start, count: header.settings_size)
            texts["tessera"] = String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
        }
        self.texts = texts
        depth = Int(header.depth)
        orientation = Orientation(rawValue: Int(header.orientation)) ?? .upright
    }

    deinit { tessera_tiff_reader_close(handle) }

    func rows(
        _ observe: (Double) throws -> Void,
        _ body: (UnsafeMutableBufferPointer<UInt16>) throws -> Void
    ) throws {
        var row = [UInt16](repeating: 0, count: width * layout.channels)
        try row.withUnsafeMutableBufferPointer { row in
            for y in 0..<height {
                guard tessera_tiff_reader_row(handle, row.baseAddress) == 0 else {
                    throw Self.fault(
                        path,
                        String(cString: tessera_tiff_reader_error(handle))
                    )
                }
                try body(row)
                try observe(Double(y + 1) / Double(height))
            }
        }
    }

    private static func fault(_ path: String, _ reason: String) -> InputError {
        InputError(
            path,
            "this TIFF cannot be read: \(reason)",
            fix: "Save it as RGB of 8 or 16 bits, or fetch it again"
        )
    }
}
