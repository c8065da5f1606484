/// Metadata chunks of a WebP: Exif data and an ICC profile.
///
/// Damaged chunks are ignored.
struct RIFFChunks {
    /// Exif data from the TIFF header on; nil if there are none.
    private(set) var exif: [UInt8]?
    /// ICC profile; nil if there is none.
    private(set) var profile: [UInt8]?

    /// Maximum size of a chunk that is read, in bytes.
    private static let largest = 1 << 23
    /// Maximum number of chunks to search.
    private static let maxChunks = 1 << 16

    /// Walks the chunks of an open file. Does not move the file position.
    init(_ descriptor: Int32) {
        var place = 12
        for _ in 0..<Self.maxChunks {
            let header = FileBytes.read(descriptor, at: place, count: 8)
            guard header.count == 8 else { return }
            let length = header[4...].reversed().reduce(0) { $0 << 8 | Int($1) }
            func content() -> [UInt8]? {
                guard length <= Self.largest else { return nil }
                let data = FileBytes.read(descriptor, at: place + 8, count: length)
                return data.count == length ? data : nil
            }
            switch String(decoding: header[..<4], as: UTF8.self) {
            case "EXIF" where exif == nil: exif = content()
            case "ICCP" where profile == nil: profile = content()
            default: break
            }
            // Chunks are padded to an even length.
            place += 8 + length + length % 2
        }
    }
}
