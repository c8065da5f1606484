/// The current protocol version, used if the other side supports it, too.
package let protocolVersion: UInt32 = 8

/// The previous protocol version, for peers that have not been updated yet.
package let oldestProtocolVersion: UInt32 = 7

/// All supported protocol versions. Two sides use the lower of their versions.
package var protocolVersions: ClosedRange<UInt32> { oldestProtocolVersion...protocolVersion }

/// A unit of work: a view to predict or a tile to decode or encode. A coordinator never reuses an id.
package struct UnitID: Hashable, Comparable, Sendable, CustomStringConvertible {
    package let rawValue: UInt64

    package init(_ rawValue: UInt64) {
        self.rawValue = rawValue
    }

    package static func < (a: UnitID, b: UnitID) -> Bool { a.rawValue < b.rawValue }
    package var description: String { "u\(rawValue)" }
}

/// Makes text from another process safe for a log: one line, with a maximum length in characters.
package func printable(_ text: String, limit: Int = 200) -> String {
    let line = text.unicodeScalars.prefix(limit).map { scalar -> Character in
        scalar.properties.generalCategory == .control || scalar == "\u{2028}"
            || scalar == "\u{2029}"
            ? "·" : Character(scalar)
    }
    return String(line)
}
