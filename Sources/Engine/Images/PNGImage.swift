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
        var header = tessera_png_header()
        guard let reader = bytes.withUnsafeBufferPointer({
            tessera_png_reader_open($0.baseAddress, $0.count)
        }) else {
            throw InputError(path, "libpng could not be started", fix: "Free some memory")
        }
        defer { tessera_png_reader_close(reader) }
        func damaged() -> InputError {
            let reason = String(cString: tessera_png_reader_error(reader))
            return InputError(path, "it is not a whole PNG: \(reason)", fix: "Fetch it again")
        }
        // libpng reads from `bytes`, which outlives the reader.
        let status = bytes.withUnsafeBufferPointer { buffer in
            tessera_png_reader_source(reader, buffer.baseAddress, buffer.count)
            return tessera_png_reader_header(reader, &header)
        }
        guard status == 0 else { throw damaged() }
        (width, height) = (Int(header.width), Int(header.height))
        guard width * height <= Self.largestArea else {
            throw InputError(
                path, "it is \(width)×\(height)", fix: "Use at most \(Self.largestArea) pixels")
        }
        var pixels = [UInt8](repeating: 0, count: 3 * width * height)
        let stride = 3 * width
        let whole = bytes.withUnsafeBufferPointer { buffer in
            tessera_png_reader_source_move(reader, buffer.baseAddress)
            return pixels.withUnsafeMutableBufferPointer {
                tessera_png_reader_rows(reader, $0.baseAddress, stride)
            }
        }
        guard whole == 0 else { throw damaged() }
        self.pixels = pixels
        var text: [String: String] = [:]
        for i in 0..<tessera_png_reader_text_count(reader) {
            let key = String(cString: tessera_png_reader_text_key(reader, i))
            text[key] = String(cString: tessera_png_reader_text_value(reader, i))
        }
        self.text = text
    }
}
