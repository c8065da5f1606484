import CPNG
import Foundation

/// The text of a PNG, without its pixels.
package struct PNGText: Sendable {
    /// Text chunks by keyword; the last one of those with the same keyword.
    package let text: [String: String]
    /// Bits per sample.
    package let depth: Int

    /// Reads the chunks before the pixels, where all programs write text; the whole file where there are none.
    ///
    /// - Throws: `InputError` when the file is missing, damaged or no PNG
    package init(file path: String) throws(InputError) {
        let (descriptor, _) = try InputFile.open(path)
        defer { close(descriptor) }
        if let other = OtherPicture(descriptor) {
            throw InputError(
                path,
                "it is \(other.rawValue), and text is read from PNG only",
                fix: "Give the PNG that the picture was saved as"
            )
        }
        depth = PNGChunks(descriptor).depth
        guard let reader = tessera_png_reader_open_file(descriptor) else {
            throw InputError(path, "libpng could not be started", fix: "Free some memory")
        }
        defer { tessera_png_reader_close(reader) }
        var header = tessera_png_header()
        guard tessera_png_reader_header(reader, &header) == 0 else {
            let reason = String(cString: tessera_png_reader_error(reader))
            throw InputError(path, "it is not a whole PNG: \(reason)", fix: "Fetch it again")
        }
        let early = PNGImage.text(reader)
        text = early.isEmpty ? try PNGImage(file: path).text : early
    }
}
