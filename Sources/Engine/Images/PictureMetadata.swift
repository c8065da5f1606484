import CPNG
import Foundation

/// What a picture file says about how the picture was made, without its pixels, in any format.
package struct PictureMetadata: Sendable {
    /// Texts by keyword; for a repeated keyword, the last one. `parameters` has the settings in the form that web
    /// interfaces exchange, `tessera` the settings as JSON; a PNG may have more. In JPEG and WebP they come from the
    /// Exif data, in TIFF from the description and a tag of Tessera's own.
    package let text: [String: String]
    /// Bits per sample.
    package let depth: Int

    /// Reads the texts of a file. In a PNG, they are searched before the pixels, where all programs write them, and in
    /// the whole file if there are none.
    ///
    /// - Throws: `InputError` if the file is missing, damaged or of an unsupported format
    package init(file path: String) throws(InputError) {
        let (descriptor, size) = try InputFile.open(path)
        defer { close(descriptor) }
        let kind = PictureKind(descriptor)
        switch kind {
        case .png, nil: (text, depth) = try Self.png(path, descriptor)
        case .jpeg: (text, depth) = (Self.text(JPEGSegments(descriptor).exif), 8)
        case .webP: (text, depth) = (Self.text(RIFFChunks(descriptor).exif), 8)
        case .tiff:
            let reader = try TIFFReader(path, descriptor, size: size)
            (text, depth) = (reader.texts, reader.depth)
        case let other?: throw other.error(path)
        }
    }

    private static func png(
        _ path: String,
        _ descriptor: Int32
    ) throws(InputError) -> ([String: String], Int) {
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
        return (
            early.isEmpty ? try PNGImage(file: path).text : early, PNGChunks(descriptor).depth
        )
    }

    private static func text(_ exif: [UInt8]?) -> [String: String] {
        guard let exif = exif.map({ Exif($0) }) else { return [:] }
        var text: [String: String] = [:]
        text["parameters"] = exif.comment
        text["tessera"] = exif.json
        text["Software"] = exif.software
        return text
    }
}
