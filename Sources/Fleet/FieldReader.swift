import Engine
import Foundation
import Yams

/// Typed access to a YAML mapping; a field that is left unread is an error with its line.
struct FieldReader {
    /// The file and the line at which the mapping begins.
    let place: String
    private let file: String
    private var fields: [(key: Node, value: Node)]

    /// The name of the outermost mapping.
    static let wholeFile = "the file"
    /// A complete cluster file in one line, for error messages.
    static let example = "hosts: [{name: localhost, workers: 2}]"

    /// - Parameters:
    ///   - node: a mapping
    ///   - file: path of the file, for messages
    ///   - name: name of the mapping, for messages
    /// - Throws: `InputError` if the node is not a mapping, or the name of a field is not text
    init(_ node: Node?, file: String, name: String) throws(InputError) {
        self.file = file
        place = node.map { Self.line(file, $0) } ?? file
        guard let node, case .mapping(let mapping) = node else {
            throw InputError(
                place,
                "\(name) must be a mapping of fields",
                fix: name == Self.wholeFile
                    ? "Write at least \(Self.example)"
                    : "Write its fields as name: value, one a line and indented"
            )
        }
        fields = mapping.map { ($0.key, $0.value) }
        for (key, _) in fields where key.string == nil {
            throw InputError(
                Self.line(file, key),
                "a field's name must be text",
                fix: "Write name: value"
            )
        }
    }

    /// An error about a field that was already read.
    func fault(_ key: String, _ node: Node?, _ problem: String, fix: String) -> InputError {
        InputError(
            "\(node.map { Self.line(file, $0) } ?? place): \(key.prefix(80))",
            problem,
            fix: fix
        )
    }

    /// The field's value; nil if it is missing or empty.
    mutating func take(_ key: String) -> Node? {
        guard let i = fields.firstIndex(where: { $0.key.string == key }) else { return nil }
        let value = fields.remove(at: i).value
        return value.null == nil ? value : nil
    }

    /// The field's text, and the node for its position.
    mutating func located(_ key: String) throws(InputError) -> (text: String, node: Node)? {
        guard let node = take(key) else { return nil }
        return (try text(node, key), node)
    }

    mutating func string(_ key: String) throws(InputError) -> String? { try located(key)?.text }

    mutating func int(_ key: String, in range: ClosedRange<Int>) throws(InputError) -> Int? {
        guard let node = take(key) else { return nil }
        guard node.tag == Tag(.int), let value = node.int, range.contains(value) else {
            throw fault(
                key,
                node,
                "it must be a whole number from \(range.lowerBound) to \(range.upperBound)",
                fix: "Correct it"
            )
        }
        return value
    }

    /// A duration in seconds.
    mutating func seconds(
        _ key: String,
        in range: ClosedRange<Double>
    ) throws(InputError) -> Duration? {
        guard let node = take(key) else { return nil }
        guard [Tag(.int), Tag(.float)].contains(node.tag), let value = node.float,
            range.contains(value)
        else {
            let (least, most) = (Int(range.lowerBound), Int(range.upperBound))
            throw fault(
                key,
                node,
                "it must be a number of seconds from \(least) to \(most)",
                fix: "Write it without a unit"
            )
        }
        return .milliseconds(Int64(value * 1000))
    }

    mutating func bool(_ key: String) throws(InputError) -> Bool? {
        guard let node = take(key) else { return nil }
        guard node.tag == Tag(.bool), let value = node.bool else {
            throw fault(key, node, "it must be true or false", fix: "Correct it")
        }
        return value
    }

    mutating func choice<Value: RawRepresentable & CaseIterable>(
        _ key: String,
        of type: Value.Type
    ) throws(InputError) -> Value? where Value.RawValue == String {
        guard let (text, node) = try located(key) else { return nil }
        guard let value = Value(rawValue: text) else {
            let known = Value.allCases.map(\.rawValue).joined(separator: ", ")
            throw fault(key, node, "'\(text)' is unknown", fix: "Write one of \(known)")
        }
        return value
    }

    mutating func list(_ key: String) throws(InputError) -> [Node] {
        guard let node = take(key) else { return [] }
        guard case .sequence(let items) = node else {
            throw fault(key, node, "it must be a list", fix: "Write each entry after a dash")
        }
        return Array(items)
    }

    mutating func strings(_ key: String) throws(InputError) -> [String] {
        var found: [String] = []
        for node in try list(key) { found.append(try text(node, key)) }
        return found
    }

    /// Names and values of a mapping, as nodes with their positions.
    mutating func pairs(_ key: String) throws(InputError) -> [(key: Node, value: Node)] {
        guard let node = take(key) else { return [] }
        guard case .mapping(let mapping) = node else {
            throw fault(key, node, "it must be a mapping", fix: "Write NAME: value")
        }
        return mapping.map { ($0.key, $0.value) }
    }

    /// Text without line breaks.
    func text(_ node: Node, _ key: String) throws(InputError) -> String {
        guard let value = node.scalar?.string, !value.isEmpty else {
            throw fault(key, node, "it must be text", fix: "Write one word or a quoted text")
        }
        let others = [
            (Tag(.int), "a number"), (Tag(.float), "a number"), (Tag(.bool), "yes or no"),
        ]
        if let (_, kind) = others.first(where: { $0.0 == node.tag }) {
            throw fault(
                key,
                node,
                "\(value) is \(kind), and it must be text",
                fix: "Quote it: \"\(value)\""
            )
        }
        guard value.unicodeScalars.allSatisfy({ $0.properties.generalCategory != .control }) else {
            throw fault(key, node, "it holds a line break or control character", fix: "Remove it")
        }
        return value
    }

    /// - Throws: `InputError` with the first unread field
    func finish(known: String) throws(InputError) {
        guard let (key, _) = fields.first else { return }
        throw InputError(
            Self.line(file, key),
            "there is no field '\(key.string ?? "?")' here",
            fix: "Remove it or correct its name; the fields are \(known)"
        )
    }

    private static func line(_ file: String, _ node: Node) -> String {
        node.mark.map { "\(file):\($0.line)" } ?? file
    }
}
