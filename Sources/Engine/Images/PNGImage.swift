import CPNG
import Foundation

/// A picture read from a PNG: 8-bit RGB, and its text chunks.
package struct PNGImage: Sendable {
    /// Number of columns.
    package let width: Int
    /// Number of rows.
    package let height: Int
    /// Pixels as red, green and blue, `[height, width, 3]`.
    package let pixels: [UInt8]
    /// Text chunks by keyword; for a repeated keyword, the last one.
    package let text: [String: String]

    /// Maximum size of a picture, in pixels.
    static let largestArea = 1 << 28
    /// Maximum compression ratio of Deflate.
    static let highestCompression = 1032

    /// Reads a picture; greyscale, palette, 16-bit and transparent pictures become 8-bit RGB.
    ///
    /// - Throws: `InputError` if the file is missing, damaged or too large
    package init(file path: String) throws(InputError) {
        let bytes = try InputFile.bytes(path, limit: 1 << 30)
        let result: Result<PNGImage, InputError> = bytes.withUnsafeBufferPointer { buffer in
            do throws(InputError) {
                return .success(try PNGImage(buffer, path: path))
            } catch {
                return .failure(error)
            }
        }
        self = try result.get()
    }

    private init(_ bytes: UnsafeBufferPointer<UInt8>, path: String) throws(InputError) {
        guard let reader = tessera_png_reader_open(bytes.baseAddress, bytes.count) else {
            throw InputError(path, "libpng could not be started", fix: "Free some memory")
        }
        defer { tessera_png_reader_close(reader) }
        func damaged(_ reason: String? = nil) -> InputError {
            let reason = reason ?? String(cString: tessera_png_reader_error(reader))
            return InputError(path, "it is not a whole PNG: \(reason)", fix: "Fetch it again")
        }
        var header = tessera_png_header()
        guard tessera_png_reader_header(reader, &header) == 0 else { throw damaged() }
        (width, height) = (Int(header.width), Int(header.height))
        guard width * height <= Self.largestArea else {
            throw InputError(
                path,
                "it is \(width)×\(height)",
                fix: "Use at most \(Self.largestArea) pixels"
            )
        }
        // Rejects a small file that claims a huge picture before memory is allocated for it.
        guard header.stored_bytes / UInt64(Self.highestCompression) <= bytes.count else {
            throw damaged("it is too short for \(width)×\(height) pixels")
        }
        let stride = 3 * width
        var pixels = [UInt8](repeating: 0, count: stride * height)
        guard
            pixels.withUnsafeMutableBufferPointer({
                tessera_png_reader_rows(reader, $0.baseAddress, stride)
            }) == 0
        else { throw damaged() }
        self.pixels = pixels
        text = Self.text(reader)
    }

    /// The text chunks that have been read so far.
    static func text(_ reader: OpaquePointer) -> [String: String] {
        var text: [String: String] = [:]
        for i in 0..<tessera_png_reader_text_count(reader) {
            let chunk = tessera_png_reader_text(reader, i)
            let key = Self.string(chunk.key, chunk.key_length, utf8: false)
            text[key] = Self.string(chunk.value, chunk.value_length, utf8: chunk.utf8 != 0)
        }
        return text
    }

    private static func string(
        _ start: UnsafePointer<CChar>?,
        _ count: Int,
        utf8: Bool
    ) -> String {
        let bytes = UnsafeRawBufferPointer(start: start, count: start == nil ? 0 : count)
        if utf8 { return String(decoding: bytes, as: UTF8.self) }
        return String(String.UnicodeScalarView(bytes.map { Unicode.Scalar($0) }))
    }
}
