/// Exif data as stored in JPEG and WebP: a TIFF structure of directories of tags.
///
/// Used to write and read what Tessera records about a picture; `Orientation` reads its own tag.
package struct Exif: Equatable, Sendable {
    /// The settings in the form that web interfaces exchange (tag UserComment).
    package var comment: String?
    /// The settings as JSON, in the tag that is reserved for camera makers (MakerNote).
    package var json: String?
    /// The program that made the picture.
    package var software: String?

    /// Maximum size in a JPEG, in bytes, not counting the six-byte prefix.
    package static let maxBytes = 65_533 - 6

    private enum Tag {
        static let software: UInt16 = 0x0131
        static let exif: UInt16 = 0x8769
        static let version: UInt16 = 0x9000
        static let note: UInt16 = 0x927C
        static let comment: UInt16 = 0x9286
        static let colours: UInt16 = 0xA001
    }

    private enum Kind {
        static let ascii: UInt16 = 2
        static let short: UInt16 = 3
        static let long: UInt16 = 4
        static let undefined: UInt16 = 7
    }

    private static let noteMark = Array("Tessera\0".utf8)
    private static let unicode = Array("UNICODE\0".utf8)
    private static let ascii = Array("ASCII\0\0\0".utf8)

    package init(comment: String? = nil, json: String? = nil, software: String? = nil) {
        (self.comment, self.json, self.software) = (comment, json, software)
    }

    // MARK: Writing

    /// The data from the TIFF header on, in big-endian byte order. They declare the colours as sRGB.
    package var bytes: [UInt8] {
        typealias Entry = (tag: UInt16, kind: UInt16, count: Int, value: [UInt8])
        var own: [Entry] = [(Tag.version, Kind.undefined, 4, Array("0232".utf8))]
        if let json {
            let value = Self.noteMark + Array(json.utf8)
            own.append((Tag.note, Kind.undefined, value.count, value))
        }
        if let comment {
            let value =
                Self.unicode + comment.utf16.flatMap { [UInt8($0 >> 8), UInt8($0 & 0xFF)] }
            own.append((Tag.comment, Kind.undefined, value.count, value))
        }
        own.append((Tag.colours, Kind.short, 1, [0, 1]))
        var first: [Entry] = []
        if let software {
            let value = Array(software.utf8) + [0]
            first.append((Tag.software, Kind.ascii, value.count, value))
        }
        func number(_ value: Int, _ count: Int) -> [UInt8] {
            (0..<count).reversed().map { UInt8(value >> (8 * $0) & 0xFF) }
        }
        /// A directory that begins at offset `start`, followed by the values that do not fit in its entries.
        func directory(_ entries: [Entry], at start: Int) -> [UInt8] {
            var head = number(entries.count, 2)
            var rest: [UInt8] = []
            let end = start + 2 + 12 * entries.count + 4
            for entry in entries {
                head += number(Int(entry.tag), 2) + number(Int(entry.kind), 2)
                head += number(entry.count, 4)
                if entry.value.count <= 4 {
                    head += entry.value + Array(repeating: 0, count: 4 - entry.value.count)
                } else {
                    head += number(end + rest.count, 4)
                    rest += entry.value
                    // Values begin at even offsets.
                    if entry.value.count % 2 == 1 { rest.append(0) }
                }
            }
            return head + number(0, 4) + rest
        }
        let header = Array("MM".utf8) + number(42, 2) + number(8, 4)
        // The pointer has a fixed size, so the length is known before its value.
        let length = directory(first + [(Tag.exif, Kind.long, 1, number(0, 4))], at: 8).count
        first.append((Tag.exif, Kind.long, 1, number(8 + length, 4)))
        return header + directory(first, at: 8) + directory(own, at: 8 + length)
    }

    // MARK: Reading

    /// Reads the tags that are present; damaged ones are ignored.
    ///
    /// - Parameter data: the data from the TIFF header on, in either byte order; may have the `Exif` prefix, as in JPEG
    package init(_ data: [UInt8]) {
        let prefix = Array("Exif\0\0".utf8)
        let data = data.starts(with: prefix) ? Array(data.dropFirst(prefix.count)) : data
        guard let isLittle = Self.order(data) else { return }
        func number(at place: Int, _ count: Int) -> Int? {
            guard place >= 0, place <= data.count - count else { return nil }
            let bytes = data[place..<place + count]
            return (isLittle ? Array(bytes.reversed()) : Array(bytes)).reduce(0) {
                $0 << 8 | Int($1)
            }
        }
        /// The value of a tag, as bytes.
        func value(_ tag: UInt16, in directory: Int) -> [UInt8]? {
            guard let entries = number(at: directory, 2) else { return nil }
            for i in 0..<entries {
                let entry = directory + 2 + 12 * i
                guard let found = number(at: entry, 2) else { return nil }
                guard found == Int(tag), let count = number(at: entry + 4, 4) else { continue }
                let kind = number(at: entry + 2, 2)
                guard kind == Int(Kind.ascii) || kind == Int(Kind.undefined) else { return nil }
                let place = count <= 4 ? entry + 8 : number(at: entry + 8, 4) ?? -1
                guard place >= 0, count <= data.count, place <= data.count - count else {
                    return nil
                }
                return Array(data[place..<place + count])
            }
            return nil
        }
        func pointer(_ tag: UInt16, in directory: Int) -> Int? {
            guard let entries = number(at: directory, 2) else { return nil }
            for i in 0..<entries where number(at: directory + 2 + 12 * i, 2) == Int(tag) {
                return number(at: directory + 2 + 12 * i + 8, 4)
            }
            return nil
        }
        guard let first = number(at: 4, 4) else { return }
        software = value(Tag.software, in: first).map {
            String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
        }
        guard let own = pointer(Tag.exif, in: first) else { return }
        comment = value(Tag.comment, in: own).flatMap { Self.text($0, isLittle: isLittle) }
        if let note = value(Tag.note, in: own), note.starts(with: Self.noteMark) {
            json = String(decoding: note.dropFirst(Self.noteMark.count), as: UTF8.self)
        }
    }

    private static func order(_ data: [UInt8]) -> Bool? {
        switch data.prefix(4) {
        case [0x49, 0x49, 42, 0]: true
        case [0x4D, 0x4D, 0, 42]: false
        default: nil
        }
    }

    /// The text of a comment, which begins with the name of its character set. Programs differ in the byte order of
    /// UNICODE: it is taken from a byte-order mark, else from the position of the zero bytes of Latin letters.
    private static func text(_ value: [UInt8], isLittle: Bool) -> String? {
        guard value.count >= 8 else { return nil }
        let (mark, content) = (Array(value.prefix(8)), Array(value.dropFirst(8)))
        switch mark {
        case ascii, Array(repeating: 0, count: 8):
            return String(decoding: content.prefix { $0 != 0 }, as: UTF8.self)
        case unicode:
            var content = content
            var swaps = isLittle
            if content.starts(with: [0xFE, 0xFF]) || content.starts(with: [0xFF, 0xFE]) {
                swaps = content[0] == 0xFF
                content.removeFirst(2)
            } else {
                let zeros = (0..<2).map { side in
                    stride(from: side, to: content.count, by: 2).count { content[$0] == 0 }
                }
                if zeros[0] != zeros[1] { swaps = zeros[1] > zeros[0] }
            }
            let units = stride(from: 0, to: content.count - 1, by: 2).map { i in
                let pair = (UInt16(content[i]), UInt16(content[i + 1]))
                return swaps ? pair.1 << 8 | pair.0 : pair.0 << 8 | pair.1
            }
            return String(decoding: units, as: UTF16.self)
        default: return nil
        }
    }
}
