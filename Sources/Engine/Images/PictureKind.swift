import Foundation

/// A picture's format, detected from its first bytes, whatever its file extension.
enum PictureKind: String, CaseIterable {
    case png = "a PNG"
    case jpeg = "a JPEG"
    case webP = "a WebP"
    case tiff = "a TIFF"
    // Recognised for error messages, but not read.
    case jpegXL = "a JPEG XL"
    case heif = "a HEIC or AVIF"
    case gif = "a GIF"
    case bmp = "a BMP"
    case psd = "a Photoshop file"

    /// Reads the beginning of an open file.
    ///
    /// - Returns: nil if the format is unknown
    init?(_ descriptor: Int32) {
        var bytes = [UInt8](repeating: 0, count: 16)
        let count = pread(descriptor, &bytes, bytes.count, 0)
        self.init(Array(bytes.prefix(max(0, count))))
    }

    /// - Parameter bytes: the first bytes of a file; 12 are enough
    init?(_ bytes: [UInt8]) {
        func has(_ text: String, at place: Int = 0) -> Bool {
            bytes.dropFirst(place).starts(with: text.unicodeScalars.map { UInt8($0.value) })
        }
        if has("\u{89}PNG\r\n\u{1A}\n") {
            self = .png
        } else if has("\u{FF}\u{D8}\u{FF}") {
            self = .jpeg
        } else if has("\u{FF}\u{0A}") || has("JXL ", at: 4) {
            self = .jpegXL
        } else if has("RIFF"), has("WEBP", at: 8) {
            self = .webP
        } else if has("ftyp", at: 4) {
            self = .heif
        } else if has("GIF8") {
            self = .gif
        } else if has("II*\0") || has("MM\0*") || has("II+\0") || has("MM\0+") {
            self = .tiff
        } else if has("BM") {
            self = .bmp
        } else if has("8BPS") {
            self = .psd
        } else {
            return nil
        }
    }

    /// The error for a file of a format that is not read.
    func error(_ path: String) -> InputError {
        let stem = (path as NSString).deletingPathExtension
        // The extension may already be .png.
        let converted = stem + (path == stem + ".png" ? "-2.png" : ".png")
        return InputError(
            path,
            "it is \(rawValue), and only PNG, JPEG, WebP and TIFF are read",
            fix:
                "Convert it with ImageMagick (7: magick, 6: convert), for example: convert \(Self.quoted(path)) "
                + Self.quoted(converted)
        )
    }

    private static func quoted(_ path: String) -> String {
        let plain = path.utf8.allSatisfy { byte in
            byte > 127 || "-./_".utf8.contains(byte)
                || UInt8(ascii: "0")...UInt8(ascii: "9") ~= byte
                || UInt8(ascii: "a")...UInt8(ascii: "z") ~= byte | 0x20
        }
        return plain && !path.hasPrefix("-")
            ? path : "'" + path.replacing("'", with: "'\\''") + "'"
    }
}
