import CPNG
import Foundation

/// A picture read from a PNG: 8-bit RGB, and its text chunks.
package struct PNGImage: Sendable {
    package let width: Int
    package let height: Int
    /// Rows of red, green and blue.
    package let pixels: [UInt8]
    package let text: [String: String]

    /// Largest picture that is read, in pixels.
    static let largestArea = 1 << 28

    /// Reads a picture; grey, palette, 16-bit and transparent ones become 8-bit RGB.
    ///
    /// - Throws: `InputError` when the file is missing, damaged or too large
    package init(file path: String) throws(InputError) {
        let bytes = try InputFile.bytes(path, limit: 1 << 30)
        guard
            let reader = bytes.withUnsafeBufferPointer({
                tessera_png_reader_open($0.baseAddress, $0.count)
            })
        else {
            throw InputError(path, "libpng could not be started", fix: "Free some memory")
        }
        defer { tessera_png_reader_close(reader) }
        func damaged() -> InputError {
            let reason = String(cString: tessera_png_reader_error(reader))
            return InputError(path, "it is not a whole PNG: \(reason)", fix: "Fetch it again")
        }
        var (columns, rows): (UInt32, UInt32) = (0, 0)
        guard tessera_png_reader_header(reader, &columns, &rows) == 0 else { throw damaged() }
        (width, height) = (Int(columns), Int(rows))
        guard width * height <= Self.largestArea else {
            throw InputError(
                path,
                "it is \(width)×\(height)",
                fix: "Use at most \(Self.largestArea) pixels"
            )
        }
        var pixels = [UInt8](repeating: 0, count: 3 * width * height)
        guard tessera_png_reader_rows(reader, &pixels, 3 * width) == 0 else { throw damaged() }
        self.pixels = pixels
        var text: [String: String] = [:]
        for i in 0..<tessera_png_reader_text_count(reader) {
            let key = String(cString: tessera_png_reader_text_key(reader, i))
            text[key] = String(cString: tessera_png_reader_text_value(reader, i))
        }
        self.text = text
    }
}
