import Foundation

extension JSON {
    /// The value as one line of JSON, with sorted keys so that equal values give equal text.
    package var text: String {
        let options: JSONSerialization.WritingOptions = [
            .sortedKeys, .withoutEscapingSlashes, .fragmentsAllowed,
        ]
        let data = try? JSONSerialization.data(withJSONObject: foundation, options: options)
        return data.map { String(decoding: $0, as: UTF8.self) } ?? "null"
    }

    /// The value as objects that `JSONSerialization` accepts.
    private var foundation: Any {
        switch self {
        case .null: NSNull()
        case .bool(let value): value
        case .number(let value): value
        case .string(let value): value
        case .array(let items): items.map(\.foundation)
        case .object(let members): members.mapValues(\.foundation)
        }
    }
}
