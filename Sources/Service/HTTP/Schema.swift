import Engine

/// JSON Schema, as OpenAPI 3.1 uses it.
package indirect enum Schema: Equatable, Sendable {
    case string
    case integer
    case number
    case boolean
    /// One of these strings.
    case choice([String])
    /// One of these integers.
    case integers([Int])
    /// A reference to a component of the document.
    case reference(String)
    case array(Schema)
    /// A value of this schema, or null.
    case nullable(Schema)
    /// Any JSON object.
    case anyObject
    case given(JSON)

    package var json: JSON {
        func type(_ name: String) -> JSON { .object(["type": .string(name)]) }
        switch self {
        case .string: return type("string")
        case .integer: return type("integer")
        case .number: return type("number")
        case .boolean: return type("boolean")
        case .choice(let words):
            return .object(["type": .string("string"), "enum": .array(words.map(JSON.string))])
        case .integers(let numbers):
            return .object([
                "type": .string("integer"),
                "enum": .array(numbers.map { .number(Double($0)) }),
            ])
        case .reference(let name):
            return .object(["$ref": .string("#/components/schemas/\(name)")])
        case .array(let element):
            return .object(["type": .string("array"), "items": element.json])
        case .nullable(let schema):
            return .object(["anyOf": .array([schema.json, type("null")])])
        case .anyObject: return type("object")
        case .given(let json): return json
        }
    }

    /// The schema with a description.
    func described(_ help: String) -> JSON {
        guard case .object(var object) = json else { return json }
        // Since OpenAPI 3.1, other keywords may accompany a reference.
        object["description"] = .string(help)
        return .object(object)
    }
}

/// A type of responses: its JSON and its schema are generated from the same list of fields.
package struct Shape<Value>: Sendable {
    package struct Field: Sendable {
        let name: String
        let help: String
        let schema: Schema
        let read: @Sendable (Value) -> JSON

        package init(
            _ name: String,
            _ schema: Schema,
            _ help: String,
            _ read: @escaping @Sendable (Value) -> JSON
        ) {
            (self.name, self.schema, self.help, self.read) = (name, schema, help, read)
        }
    }

    let fields: [Field]

    package init(_ fields: [Field]) { self.fields = fields }

    package func json(_ value: Value) -> JSON {
        .object(
            Dictionary(fields.map { ($0.name, $0.read(value)) }, uniquingKeysWith: { $1 })
        )
    }

    /// All fields are always present; those without a value are null.
    package var schema: JSON {
        .object([
            "type": .string("object"),
            "required": .array(fields.map { .string($0.name) }),
            "properties": .object(
                Dictionary(
                    fields.map { ($0.name, $0.schema.described($0.help)) },
                    uniquingKeysWith: { $1 }
                )
            ),
        ])
    }
}

extension JSON {
    /// Whether it contains no NaN or infinity.
    var isFinite: Bool {
        switch self {
        case .null, .bool, .string: true
        case .number(let value): value.isFinite
        case .array(let items): items.allSatisfy(\.isFinite)
        case .object(let members): members.values.allSatisfy(\.isFinite)
        }
    }

    static func count(_ value: Int) -> JSON { .number(Double(value)) }
    static func optional(_ value: Double?) -> JSON { value.map(JSON.number) ?? .null }
    static func optional(_ value: Int?) -> JSON { value.map { .number(Double($0)) } ?? .null }
    static func optional(_ value: String?) -> JSON { value.map(JSON.string) ?? .null }
}
