import CPNG
import Foundation

/// Writes a PNG row by row under a temporary name; the file gets its final name when it is complete.
///
/// Used by one thread at a time.
package final class PNGWriter: PictureWriter {
    private let file: TemporaryFile
    private let handle: OpaquePointer
    private let width: Int
    private let height: Int
    private let depth: PixelDepth
    private var written = 0

    /// - Parameters:
    ///   - path: final name
    ///   - width: in pixels
    ///   - height: in pixels
    ///   - depth: bits per sample
    ///   - text: text chunks; keywords are 1 to 79 printable ASCII letters
    /// - Throws: `OutputError` if the file cannot be written
    package init(
        file path: String,
        width: Int,
        height: Int,
        depth: PixelDepth = .eight,
        text: [(key: String, value: String)] = []
    ) throws(OutputError) {
        precondition(width > 0 && height > 0, "\(width)×\(height)")
        file = try TemporaryFile(for: path)
        (self.width, self.height, self.depth) = (width, height, depth)
        guard
            let handle = tessera_png_writer_open(
                file.descriptor,
                UInt32(width),
                UInt32(height),
                Int32(depth.rawValue)
            )
        else { throw OutputError(path, "libpng could not be started") }
        self.handle = handle
        for (key, value) in text {
            guard tessera_png_writer_text(handle, key, value) == 0 else { throw failure() }
        }
        guard tessera_png_writer_begin(handle) == 0 else { throw failure() }
    }

    deinit { tessera_png_writer_close(handle) }

    package func write(rows: [UInt8]) throws(OutputError) {
        let line = depth.pixel * width
        let count = rows.count / line
        precondition(rows.count == count * line, "\(rows.count) bytes of width \(width)")
        precondition(written + count <= height, "more than \(height) rows")
        let status = rows.withUnsafeBufferPointer {
            tessera_png_writer_rows(handle, $0.baseAddress, count, line)
        }
        guard status == 0 else { throw failure() }
        written += count
    }

    package func finish(numbered: Bool) throws(OutputError) -> String {
        precondition(written == height, "\(written) of \(height) rows")
        guard tessera_png_writer_end(handle) == 0 else { throw failure() }
        return try file.commit(numbered: numbered)
    }

    private func failure() -> OutputError {
        OutputError(file.path, String(cString: tessera_png_writer_error(handle)))
    }
}
