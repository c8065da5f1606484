import Foundation

extension JSON {
    /// One line, the same for the same value: keys are sorted.
    package var text: String {
        let options: JSONSerialization.WritingOptions = [
            .sortedKeys, .withoutEscapingSlashes, .fragmentsAllowed,
        ]
        let data = try? JSONSerialization.data(withJSONObject: foundation, options: options)
        return data.map { String(decoding: $0, as: UTF8.self) } ?? "null"
    }

    /// As Foundation has it.
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
