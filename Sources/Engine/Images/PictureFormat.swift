/// File formats for pictures. The raw values are those of `--format`.
package enum PictureFormat: String, CaseIterable, Sendable {
    case png
    case tiff
    case jpeg
    case webP = "webp"

    /// Default quality of the lossy formats.
    package static let defaultQuality = 90

    /// Stands for standard output in place of a path.
    package static let standardOutput = "-"

    /// The format that is given, or else implied by the file extension.
    ///
    /// - Parameters:
    ///   - path: path of the file, or `standardOutput`
    ///   - flag: the flag that named the file, for errors
    ///   - given: the value of `--format`; nil for none
    /// - Throws: `InputError` for an unknown extension, or one that contradicts `given`
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

    /// Number of bytes at the start of a file that identify its format.
    package static let headBytes = 12

    /// Whether a file's first `headBytes` bytes are those of this format.
    package func isBegun(by head: [UInt8]) -> Bool {
        switch (self, PictureKind(head)) {
        case (.png, .png), (.jpeg, .jpeg), (.webP, .webP), (.tiff, .tiff): true
        default: false
        }
    }

    /// Whether the format is lossy and has a quality setting.
    package var isLossy: Bool { self == .jpeg || self == .webP }

    /// Maximum side of a picture, in pixels; nil if the format's limit exceeds any picture.
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
    ///   - quality: the quality that was given; nil for the default
    ///   - size: rows and columns; nil if not known yet
    ///   - text: texts about the picture; nil if not known yet
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
                "a \(rawValue.uppercased()) is lossless and has no quality setting",
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
        // A little text about the workers is added later.
        let exif = Exif(texts: text)
        guard exif.bytes.count + Self.textReserve <= Exif.maxBytes else {
            throw InputError(
                place,
                "the prompts are longer than Exif data can hold",
                fix: "Write a PNG or TIFF, or shorten the prompts"
            )
        }
    }

    /// Bytes reserved in both texts together for what the workers computed the picture with.
    private static let textReserve = 4096

    /// A writer for this format.
    ///
    /// - Parameters:
    ///   - path: final name, or `standardOutput`
    ///   - width: in pixels
    ///   - height: in pixels
    ///   - depth: bits per sample
    ///   - quality: 1 to 100, for lossy formats
    ///   - text: texts about the picture; all formats except PNG store only `parameters`, `tessera` and `Software`
    /// - Returns: a writer for a file without any rows yet
    /// - Throws: `OutputError` if the file cannot be written
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
    /// The texts of a picture's metadata. The picture could not be repeated without the JSON, so if both texts do not
    /// fit despite `PictureFormat.check`, `fittingBytes` leaves out the comment.
    init(texts: [(key: String, value: String)]) {
        func text(_ key: String) -> String? { texts.first { $0.key == key }?.value }
        self.init(
            comment: text("parameters"),
            json: text("tessera"),
            software: text("Software")
        )
    }

    /// The bytes to write; without the comment if both texts do not fit.
    var fittingBytes: [UInt8] {
        let all = bytes
        guard all.count > Self.maxBytes else { return all }
        return Exif(json: json, software: software).bytes
    }
}
