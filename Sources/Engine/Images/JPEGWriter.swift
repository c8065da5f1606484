import CJPEG
import Foundation

/// Writes a JPEG row by row under a temporary name; the file gets its final name when it is complete.
///
/// Used by one thread at a time.
package final class JPEGWriter: PictureWriter {
    private let file: TemporaryFile
    private let handle: OpaquePointer
    private let width: Int
    private let height: Int
    private var written = 0

    /// Largest side, in pixels.
    static let longestSide = Int(TESSERA_JPEG_LONGEST_SIDE)

    /// - Parameters:
    ///   - path: final name
    ///   - width: in pixels
    ///   - height: in pixels
    ///   - quality: 1 to 100; from 90 on, colours have full resolution
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
        (self.width, self.height) = (width, height)
        guard let handle = tessera_jpeg_writer_open(file.descriptor) else {
            throw OutputError(path, "libjpeg could not be started")
        }
        self.handle = handle
        let data = Array("Exif\0\0".utf8) + exif.fittingBytes
        guard data.count <= Exif.maxBytes + 6 else {
            throw OutputError(path, "its text is longer than a JPEG can hold")
        }
        let status = tessera_jpeg_writer_begin(
            handle,
            UInt32(width),
            UInt32(height),
            Int32(quality),
            data,
            data.count
        )
        guard status == 0 else { throw failure() }
    }

    deinit { tessera_jpeg_writer_close(handle) }

    package func write(rows: [UInt8]) throws(OutputError) {
        let line = 3 * width
        let count = rows.count / line
        precondition(rows.count == count * line, "\(rows.count) bytes of width \(width)")
        precondition(written + count <= height, "more than \(height) rows")
        guard tessera_jpeg_writer_rows(handle, rows, count, line) == 0 else { throw failure() }
        written += count
    }

    package func finish(numbered: Bool) throws(OutputError) -> String {
        precondition(written == height, "\(written) of \(height) rows")
        guard tessera_jpeg_writer_end(handle) == 0 else { throw failure() }
        return try file.commit(numbered: numbered)
    }

    private func failure() -> OutputError {
        OutputError(file.path, String(cString: tessera_jpeg_writer_error(handle)))
    }
}
