import CPNG
import Foundation

/// Writes a PNG row by row under a temporary name; the file gets its own name when it is complete.
///
/// Used by one thread at a time.
package final class PNGWriter {
    private let file: TemporaryFile
    private let handle: OpaquePointer
    private let width: Int
    private let height: Int
    private var written = 0

    /// - Parameters:
    ///   - path: final name
    ///   - width: in pixels
    ///   - height: in pixels
    ///   - text: text chunks, keywords of 1 to 79 printable ASCII letters
    /// - Throws: `OutputError` when the file cannot be written
    package init(
        file path: String,
        width: Int,
        height: Int,
        text: [(key: String, value: String)] = []
    ) throws(OutputError) {
        precondition(width > 0 && height > 0, "\(width)×\(height)")
        file = try TemporaryFile(for: path)
        (self.width, self.height) = (width, height)
        guard
            let handle = tessera_png_writer_open(
                file.descriptor,
                UInt32(width),
                UInt32(height)
            )
        else { throw OutputError(path, "libpng could not be started") }
        self.handle = handle
        for (key, value) in text {
            guard tessera_png_writer_text(handle, key, value) == 0 else { throw failure() }
        }
        guard tessera_png_writer_begin(handle) == 0 else { throw failure() }
    }

    deinit { tessera_png_writer_close(handle) }

    /// Appends whole rows of 8-bit RGB.
    ///
    /// - Throws: `OutputError` when the disk is full or broken
    package func write(rows: [UInt8]) throws(OutputError) {
        let count = rows.count / (3 * width)
        precondition(rows.count == count * 3 * width, "\(rows.count) bytes of width \(width)")
        precondition(written + count <= height, "more than \(height) rows")
        let status = rows.withUnsafeBufferPointer {
            tessera_png_writer_rows(handle, $0.baseAddress, count, 3 * width)
        }
        guard status == 0 else { throw failure() }
        written += count
    }

    /// Completes the file and gives it its name.
    ///
    /// - Throws: `OutputError` when it cannot be completed
    package func finish() throws(OutputError) {
        precondition(written == height, "\(written) of \(height) rows")
        guard tessera_png_writer_end(handle) == 0 else { throw failure() }
        try file.commit()
    }

    private func failure() -> OutputError {
        OutputError(file.path, String(cString: tessera_png_writer_error(handle)))
    }
}
