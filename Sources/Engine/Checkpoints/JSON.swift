import Foundation

/// A JSON document.
///
/// Numbers are doubles, so integers are exact up to 2^53.
package indirect enum JSON: Equatable, Sendable {
    case null
    case bool(Bool)
    case number(Double)
    case string(String)
    case array([JSON])
    case object([String: JSON])

    /// How deep arrays and objects may lie in one another.
    static let mostLevels = 64

    /// Parses a whole document, strictly: what RFC 8259 allows and nothing else, but for `NaN`,
    /// `Infinity` and `-Infinity`, which Python writes.
    ///
    /// Throws `InputError` at `place` for anything else, and for a key that an object has twice.
    package static func parse(
        _ bytes: some Collection<UInt8>,
        place: String
    ) throws(InputError) -> JSON {
        var parser = JSONParser(bytes: Array(bytes), place: place)
        return try parser.document()
    }

    /// Reads and parses a file of at most `limit` bytes.
    package static func read(file: String, limit: Int = 64 << 20) throws(InputError) -> JSON {
        guard let handle = FileHandle(forReadingAtPath: file) else {
            throw InputError(
                file,
                "cannot be read",
                fix: "Check that the model folder is complete and readable"
            )
        }
        defer { try? handle.close() }
        guard let data = try? handle.read(upToCount: limit + 1) ?? Data() else {
            throw InputError(file, "cannot be read", fix: "Check that it is a file")
        }
        guard data.count <= limit else {
            throw InputError(
                file,
                "is larger than \(limit >> 20) MiB",
                fix: "Use the model's original file"
            )
        }
        return try parse(data, place: file)
    }

    /// What kind of value it is, for messages.
    var kind: String {
        switch self {
        case .null: "null"
        case .bool: "true or false"
        case .number: "a number"
        case .string: "a text"
        case .array: "a list"
        case .object: "an object"
        }
    }
}

extension JSON: CustomStringConvertible {
    /// The value as a person would write it; long ones by their kind.
    package var description: String {
        switch self {
        case .null: "null"
        case .bool(let value): "\(value)"
        case .number(let value):
            value == value.rounded() && abs(value) < 1e15 ? "\(Int(value))" : "\(value)"
        case .string(let value): "\"\(value.prefix(60))\""
        case .array, .object: kind
        }
    }
}
