import Foundation

/// What a picture's file says of how it was made, whatever its format: `parameters`, in the form that web interfaces
/// exchange, and `tessera`, the settings as JSON.
package enum PictureMetadata {
    /// Reads the texts of a file, not its pixels, except those of a PNG.
    ///
    /// - Returns: by keyword; a JPEG's and a WebP's are those of their Exif data, a TIFF's is its description
    /// - Throws: `InputError` when the file is missing, in no format that is read, or damaged
    package static func texts(_ path: String) throws(InputError) -> [String: String] {
        let (descriptor, _) = try InputFile.open(path)
        defer { close(descriptor) }
        let exif: [UInt8]?
        switch PictureKind(descriptor) {
        case .png: return try PNGImage(file: path).text
        case .jpeg: exif = JPEGSegments(descriptor).exif
        case .webP: exif = RIFFChunks(descriptor).exif
        case .tiff:
            let reader = try TIFFReader(path, descriptor, size: 0)
            return reader.texts
        case nil:
            throw InputError(path, "it is not a picture", fix: "Name a PNG, JPEG, WebP or TIFF")
        case let other?: throw other.error(path)
        }
        guard let exif = exif.map({ Exif($0) }) else { return [:] }
        var texts: [String: String] = [:]
        texts["parameters"] = exif.comment
        texts["tessera"] = exif.json
        texts["Software"] = exif.software
        return texts
    }
}
