import Engine
import Foundation

extension JSON: Encodable {
    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        switch self {
        case .null: try container.encodeNil()
        case .bool(let value): try container.encode(value)
        case .number(let value): try container.encode(value)
        case .string(let value): try container.encode(value)
        case .array(let items): try container.encode(items)
        case .object(let members): try container.encode(members)
        }
    }

    /// One line for an answer.
    ///
    /// `text` has the order of keys that pictures are written with, which costs a millisecond for each job of a list.
    package var answer: Data {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        // Only NaN and infinity cannot be written, and no answer has them.
        return (try? encoder.encode(self)) ?? Data("null".utf8)
    }
}
