/// PNG chunks that libpng reports too late or not at all: `eXIf` may follow the pixels, and libpng
/// supports `cICP` only since 1.6.45.
///
/// Damaged chunks are ignored, as in libpng.
struct PNGChunks {
    /// Bits per sample; for a palette, bits per sample of its colours.
    private(set) var depth = 8
    /// The orientation of the stored rows.
    private(set) var orientation = Orientation.upright
    /// Code points of the colours; nil if there is no `cICP` before the pixels.
    private(set) var colours: CodedColours?

    /// Maximum size of an `eXIf` chunk that is read, in bytes; thumbnails make these chunks large.
    private static let largest = 1 << 20
    /// Maximum number of chunks to search.
    private static let maxChunks = 1 << 20
    private static let signature = 8

    /// Walks the chunks of an open PNG. Does not move the file position.
    init(_ descriptor: Int32) {
        var place = Self.signature
        var (hasExif, hasPixels) = (false, false)
        for _ in 0..<Self.maxChunks {
            let header = FileBytes.read(descriptor, at: place, count: 8)
            guard header.count == 8 else { return }
            let length = header[..<4].reduce(0) { $0 << 8 | Int($1) }
            let kind = String(decoding: header[4...], as: UTF8.self)
            func content() -> [UInt8]? { Self.content(descriptor, at: place, length) }
            switch kind {
            case "IHDR":
                // A palette's colours have eight bits per sample.
                if let data = content(), data.count == 13 {
                    depth = data[9] == 3 ? 8 : Int(data[8])
                }
            case "cICP" where colours == nil && !hasPixels:
                if let data = content() { colours = CodedColours(data) }
            case "eXIf" where !hasExif:
                hasExif = true
                if let data = content() { orientation = Orientation(exif: data) ?? .upright }
            case "IDAT": hasPixels = true
            case "IEND": return
            default: break
            }
            place += 12 + length
        }
    }

    /// A chunk's content; nil if it is too long, missing or does not match its checksum.
    private static func content(_ descriptor: Int32, at place: Int, _ length: Int) -> [UInt8]? {
        guard length <= largest else { return nil }
        let bytes = FileBytes.read(descriptor, at: place + 4, count: length + 8)
        guard bytes.count == length + 8 else { return nil }
        let stored = bytes[(length + 4)...].reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
        guard checksum(bytes[..<(length + 4)]) == stored else { return nil }
        return Array(bytes[4..<(length + 4)])
    }

    /// CRC-32 (ISO 3309).
    private static func checksum(_ bytes: ArraySlice<UInt8>) -> UInt32 {
        var sum = UInt32.max
        for byte in bytes {
            sum ^= UInt32(byte)
            for _ in 0..<8 { sum = sum >> 1 ^ (sum & 1 == 1 ? 0xEDB8_8320 : 0) }
        }
        return ~sum
    }
}
