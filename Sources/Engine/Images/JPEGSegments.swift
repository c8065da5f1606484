/// Segments before the pixels of a JPEG that libjpeg does not interpret: Exif data and an ICC profile.
///
/// Damaged segments are ignored.
struct JPEGSegments {
    /// The first Exif data, from its TIFF header on; nil if there are none.
    private(set) var exif: [UInt8]?
    /// ICC profile, put together from its pieces; nil if there is none, or if a piece is missing.
    private(set) var profile: [UInt8]?

    private static let exifMark = Array("Exif\0\0".utf8)
    private static let profileMark = Array("ICC_PROFILE\0".utf8)
    /// Maximum number of segments to search.
    private static let maxSegments = 1 << 16

    /// Walks the segments of an open file up to its first scan. Does not move the file position.
    init(_ descriptor: Int32) {
        var pieces: [UInt8: [UInt8]] = [:]
        var count: UInt8?
        var place = 2
        for _ in 0..<Self.maxSegments {
            let header = FileBytes.read(descriptor, at: place, count: 4)
            guard header.count == 4, header[0] == 0xFF else { break }
            // Markers may be padded with bytes of 255.
            guard header[1] != 0xFF else {
                place += 1
                continue
            }
            let length = Int(header[2]) << 8 | Int(header[3])
            // Stops at the first scan, the end, or damage.
            guard header[1] != 0xDA, header[1] != 0xD9, length >= 2 else { break }
            func content() -> [UInt8] {
                FileBytes.read(descriptor, at: place + 4, count: length - 2)
            }
            switch header[1] {
            case 0xE1 where exif == nil:
                let data = content()
                if data.starts(with: Self.exifMark) {
                    exif = Array(data.dropFirst(Self.exifMark.count))
                }
            case 0xE2:
                let data = content()
                let mark = Self.profileMark.count
                // Piece number and number of pieces, both starting at 1.
                guard data.starts(with: Self.profileMark), data.count > mark + 2 else { break }
                let (number, all) = (data[mark], data[mark + 1])
                guard number >= 1, number <= all, count == nil || count == all else { break }
                count = all
                if pieces[number] == nil { pieces[number] = Array(data[(mark + 2)...]) }
            default: break
            }
            place += 2 + length
        }
        if let count, pieces.count == Int(count) {
            profile = (1...count).flatMap { pieces[$0] ?? [] }
        }
    }
}
