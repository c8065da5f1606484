import CWebP
import Foundation

/// Writes a lossy WebP under a temporary name; the file gets its final name when it is complete. The format has to be
/// encoded as a whole, so the writer keeps one and a half bytes per pixel in memory, at most 402 MB.
///
/// Used by one thread at a time.
package final class WebPWriter: PictureWriter {
    private let file: TemporaryFile
    private let handle: OpaquePointer
    private let width: Int
    private let height: Int
    private let exif: Exif
    private var written = 0

    /// Largest side, in pixels.
    static let longestSide = Int(TESSERA_WEBP_LONGEST_SIDE)

    /// - Parameters:
    ///   - path: final name
    ///   - width: in pixels
    ///   - height: in pixels
    ///   - quality: 1 to 100
    ///   - exif: Exif data that describe the picture
    /// - Throws: `OutputError` if the file cannot be written
    package init(
        file path: String,
        width: Int,
        height: Int,
        quality: Int = PictureFormat.defaultQuality,
        exif: Exif = Exif()
    ) throws(OutputError) {
        precondition(width > 0 && height > 0, "\(width)×\(height)")
        file = try TemporaryFile(for: path)
        (self.width, self.height, self.exif) = (width, height, exif)
        guard let handle = tessera_webp_writer_open(UInt32(width), UInt32(height), Int32(quality))
        else { throw OutputError(path, "there is not enough memory to encode a WebP") }
        self.handle = handle
    }

    deinit { tessera_webp_writer_close(handle) }

    package func write(rows: [UInt8]) throws(OutputError) {
        let line = 3 * width
        let count = rows.count / line
        precondition(rows.count == count * line, "\(rows.count) bytes of width \(width)")
        precondition(written + count <= height, "more than \(height) rows")
        guard tessera_webp_writer_rows(handle, rows, count, line) == 0 else {
            throw OutputError(file.path, "there is not enough memory to encode a WebP")
        }
        written += count
    }

    package func finish(numbered: Bool) throws(OutputError) -> String {
        precondition(written == height, "\(written) of \(height) rows")
        var start: UnsafePointer<UInt8>?
        var count = 0
        let status = tessera_webp_writer_encode(handle, &start, &count)
        // The simple format is a header of 12 bytes and one chunk.
        guard status == 0, let start, count > Self.simpleHeader else {
            throw OutputError(file.path, "libwebp cannot encode it (error \(status))")
        }
        let picture = UnsafeRawBufferPointer(start: start, count: count)
            .dropFirst(Self.simpleHeader)
        let data = exif.bytes
        let exifChunk = Self.chunk("EXIF", data)
        let header = Self.chunk("VP8X", Self.extended(width: width, height: height))
        let total = 4 + header.count + picture.count + exifChunk.count
        try file.write(Array("RIFF".utf8) + Self.number(total, 4) + Array("WEBP".utf8) + header)
        try file.write(UnsafeRawBufferPointer(rebasing: picture))
        try file.write(exifChunk)
        return try file.commit(numbered: numbered)
    }

    private static let simpleHeader = 12

    /// The header of the extended format: says that there are Exif data, and the size of the canvas.
    private static func extended(width: Int, height: Int) -> [UInt8] {
        [0x08, 0, 0, 0] + number(width - 1, 3) + number(height - 1, 3)
    }

    private static func chunk(_ name: String, _ data: [UInt8]) -> [UInt8] {
        Array(name.utf8) + number(data.count, 4) + data + (data.count % 2 == 1 ? [0] : [])
    }

    private static func number(_ value: Int, _ count: Int) -> [UInt8] {
        (0..<count).map { UInt8(value >> (8 * $0) & 0xFF) }
    }
}
