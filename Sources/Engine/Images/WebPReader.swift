import CWebP
import Foundation

/// A WebP, read by libwebp: lossy or lossless, with or without transparency. The format cannot be decoded row by row,
/// so the file and its pixels are in memory while it is read.
final class WebPReader: PictureReader {
    private let path: String
    let width: Int
    let height: Int
    let layout: PixelLayout
    let colours: ColourDescription
    let orientation: Orientation
    private let descriptor: Int32
    private let size: Int

    /// Maximum size of a picture, in pixels; libwebp takes eight bytes for each.
    private static let largestArea = 1 << 26
    /// Maximum size of a file, in bytes.
    private static let largestFile = 1 << 29
    /// Bytes that are read to find what precedes the pixels; if a colour profile does not fit in
    /// them, the whole file is read.
    private static let head = 1 << 16

    /// Reads everything that precedes the pixels.
    ///
    /// - Parameters:
    ///   - path: path of the file
    ///   - descriptor: file descriptor; its position does not matter
    ///   - size: size of the file in bytes
    /// - Throws: `InputError` if this part of the file is damaged, or the picture is animated or too large
    init(_ path: String, _ descriptor: Int32, size: Int) throws(InputError) {
        (self.path, self.descriptor, self.size) = (path, descriptor, size)
        guard size <= Self.largestFile else {
            throw InputError(
                path,
                "it has \(size) bytes, and a WebP of at most \(Self.largestFile) is read",
                fix: "Convert it to PNG or TIFF"
            )
        }
        var header = tessera_webp_header()
        var status = Int32(TESSERA_WEBP_TOO_SHORT)
        for count in [min(size, Self.head), size] where status == Int32(TESSERA_WEBP_TOO_SHORT) {
            let bytes = FileBytes.read(descriptor, at: 0, count: count)
            status = tessera_webp_read_header(bytes, bytes.count, &header)
        }
        if let fault = Self.fault(status, path) { throw fault }
        guard header.is_animated == 0 else {
            throw InputError(path, "it is animated", fix: "Use a still picture")
        }
        (width, height) = (Int(header.width), Int(header.height))
        layout = PixelLayout(colour: .rgb, hasAlpha: header.has_alpha != 0)
        let chunks = RIFFChunks(descriptor)
        var colours = ColourDescription()
        colours.profile = chunks.profile
        self.colours = colours
        orientation = chunks.exif.flatMap { Orientation(exif: $0) } ?? .upright
        guard width * height <= Self.largestArea else {
            throw InputError(
                path,
                "it is \(width)×\(height), and a WebP of at most \(Self.largestArea) pixels is read, "
                    + "because the format must be decoded as a whole",
                fix: "Convert it to PNG or TIFF"
            )
        }
    }

    func rows(
        _ observe: (Double) throws -> Void,
        _ body: (UnsafeMutableBufferPointer<UInt16>) throws -> Void
    ) throws {
        let pixels = UnsafeMutablePointer<UInt8>.allocate(capacity: 4 * width * height)
        defer { pixels.deallocate() }
        do {
            let bytes = FileBytes.read(descriptor, at: 0, count: size)
            let status = tessera_webp_read(bytes, bytes.count, pixels, width, height)
            if let fault = Self.fault(status, path) { throw fault }
        }
        let channels = layout.channels
        var row = [UInt16](repeating: 0, count: width * channels)
        try row.withUnsafeMutableBufferPointer { row in
            for y in 0..<height {
                let line = pixels + 4 * width * y
                for x in 0..<width {
                    for c in 0..<channels {
                        row[x * channels + c] = UInt16(line[4 * x + c]) * 257
                    }
                }
                try body(row)
                try observe(Double(y + 1) / Double(height))
            }
        }
    }

    private static func fault(_ status: Int32, _ path: String) -> InputError? {
        func damaged(_ reason: String) -> InputError { .damagedPicture(path, "WebP", reason) }
        switch Int(status) {
        case Int(TESSERA_WEBP_OK): return nil
        case Int(TESSERA_WEBP_NO_MEMORY): return damaged("out of memory")
        case Int(TESSERA_WEBP_TOO_SHORT): return damaged("it ends too early")
        case Int(TESSERA_WEBP_UNSUPPORTED): return damaged("it uses an unknown feature")
        default: return damaged("its data are damaged")
        }
    }
}
