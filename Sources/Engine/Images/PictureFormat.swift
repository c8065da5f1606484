/// File formats of pictures. The raw values are those of `--format`.
package enum PictureFormat: String, CaseIterable, Sendable {
    case png
    case tiff
    case jpeg
    case webP = "webp"

    /// Quality of the formats that lose something, unless the caller says otherwise.
    package static let defaultQuality = 90

    /// The name of standard output, in place of a path.
    package static let standardOutput = "-"

    /// The format that the file extension implies, or that is given.
    ///
    /// - Parameters:
    ///   - path: of the file, or `standardOutput`
    ///   - flag: that named it, for errors
    ///   - given: the value of `--format`; nil for none
    /// - Throws: `InputError` for an unknown extension, or one that means another format
    package init(path: String, flag: String, given: Self? = nil) throws(InputError) {
        guard path != Self.standardOutput else {
            self = given ?? .png
            return
        }
        let name = path.split(separator: "/").last ?? ""
        let parts = name.split(separator: ".", omittingEmptySubsequences: false)
        let implied: Self?
        switch parts.count > 1 ? parts[parts.count - 1].lowercased() : "" {
        case "png": implied = .png
        case "tif", "tiff": implied = .tiff
        case "jpg", "jpeg", "jpe": implied = .jpeg
        case "webp": implied = .webP
        default: implied = nil
        }
        guard let format = given ?? implied else {
            throw InputError(
                "\(flag) \(path)",
                "its extension is not that of a supported format",
                fix: "Use .png, .tif, .jpg or .webp, or give --format"
            )
        }
        guard implied == nil || implied == format else {
            throw InputError(
                "\(flag) \(path)",
                "its extension is not that of --format \(format.rawValue)",
                fix: "Use .\(format.fileExtension), or leave --format out"
            )
        }
        self = format
    }

    /// The usual extension, without the dot.
    package var fileExtension: String {
        switch self {
        case .png: "png"
        case .tiff: "tif"
        case .jpeg: "jpg"
        case .webP: "webp"
        }
    }

    /// Bytes of a file that tell its format.
    package static let headBytes = 12

    /// Whether a file's first bytes, `headBytes` of them, are of this format.
    package func isBegun(by head: [UInt8]) -> Bool {
        switch (self, PictureKind(head)) {
        case (.png, .png), (.jpeg, .jpeg), (.webP, .webP), (.tiff, .tiff): true
        default: false
        }
    }

    /// Whether it loses something, by a quality.
    package var isLossy: Bool { self == .jpeg || self == .webP }

    /// Largest side of a picture, in pixels; nil for more than any picture has.
    package var longestSide: Int? {
        switch self {
        case .png, .tiff: nil
        case .jpeg: JPEGWriter.longestSide
        case .webP: WebPWriter.longestSide
        }
    }

    /// Rejects what the format cannot hold.
    ///
    /// - Parameters:
    ///   - place: the flag with the path, for errors
    ///   - depth: bits per sample
    ///   - quality: as given; nil for the default
    ///   - size: rows and columns; nil if they are not known yet
    ///   - text: about the picture; nil if it is not known yet
    /// - Throws: `InputError`
    package func check(
        _ place: String,
        depth: PixelDepth,
        quality: Int?,
        size: (height: Int, width: Int)? = nil,
        text: [(key: String, value: String)]? = nil
    ) throws(InputError) {
        guard depth == .eight || !isLossy else {
            throw InputError(
                "--bit-depth \(depth.rawValue)",
                "a \(rawValue.uppercased()) has 8 bits per channel",
                fix: "Leave it out, or write a PNG or TIFF"
            )
        }
        guard quality == nil || isLossy else {
            throw InputError(
                "--quality",
                "a \(rawValue.uppercased()) loses nothing and has no quality",
                fix: "Leave it out, or write a JPEG or WebP"
            )
        }
        if let size, let longestSide, max(size.height, size.width) > longestSide {
            throw InputError(
                place,
                "the picture is \(size.width)×\(size.height), and a \(rawValue.uppercased()) has at "
                    + "most \(longestSide) pixels a side",
                fix: "Write a TIFF or PNG, or choose a smaller --size"
            )
        }
        guard let text, isLossy else { return }
        // A little more is added about the workers.
        let exif = Exif(texts: text)
        guard exif.bytes.count + Self.textReserve <= Exif.maxBytes else {
            throw InputError(
                place,
                "the prompts are longer than Exif data can hold",
                fix: "Write a PNG or TIFF, or shorten the prompts"
            )
        }
    }

    /// For what the workers computed it with, in both texts.
    private static let textReserve = 4096

    /// A writer for this format.
    ///
    /// - Parameters:
    ///   - path: final name, or `standardOutput`
    ///   - width: in pixels
    ///   - height: in pixels
    ///   - depth: bits per sample
    ///   - quality: 1 to 100, of formats that lose something
    ///   - text: about the picture; all but a PNG have room for `parameters`, `tessera` and `Software` only
    /// - Returns: a writer of a file that has no rows yet
    /// - Throws: `OutputError` when the file cannot be written
    package func writer(
        _ path: String,
        width: Int,
        height: Int,
        depth: PixelDepth,
        quality: Int = defaultQuality,
        text: [(key: String, value: String)]
    ) throws(OutputError) -> any PictureWriter {
        switch self {
        case .png:
            try PNGWriter(file: path, width: width, height: height, depth: depth, text: text)
        case .tiff:
            try TIFFWriter(
                file: path,
                width: width,
                height: height,
                depth: depth,
                description: text.first { $0.key == "parameters" }?.value,
                software: text.first { $0.key == "Software" }?.value,
                settings: text.first { $0.key == "tessera" }?.value
            )
        case .jpeg:
            try JPEGWriter(
                file: path,
                width: width,
                height: height,
                quality: quality,
                exif: Exif(texts: text)
            )
        case .webP:
            try WebPWriter(
                file: path,
                width: width,
                height: height,
                quality: quality,
                exif: Exif(texts: text)
            )
        }
    }
}

extension Exif {
    /// The texts of a picture's metadata. Without the JSON the picture could not be repeated: where both do not fit, in spite
    /// of `PictureFormat.check`, the comment is left out.
    init(texts: [(key: String, value: String)]) {
        func text(_ key: String) -> String? { texts.first { $0.key == key }?.value }
        self.init(
            comment: text("parameters"),
            json: text("tessera"),
            software: text("Software")
        )
    }

    /// The bytes to write: without the comment where both texts do not fit.
    var fittingBytes: [UInt8] {
        let all = bytes
        guard all.count > Self.maxBytes else { return all }
        return Exif(json: json, software: software).bytes
    }
}
