import Engine
import Foundation

/// A path with fields in it, such as `{date}/{seed}-{prompt}.png`. `{{` and `}}` are braces.
package struct NameTemplate: Equatable, Sendable {
    private enum Part: Equatable {
        case text(String)
        case field(String)
    }

    private let parts: [Part]

    /// Characters of a prompt in a name.
    private static let longestPrompt = 60
    /// Bytes of a file's name: file systems take 255, of which a temporary ending and a number need some.
    private static let longestName = 200
    /// Fields that are not settings.
    private static let ownFields = ["count", "date", "index", "model", "prompt", "time"]

    /// The fields that a name may have.
    package static var fields: [String] {
        (ownFields + ["height", "width"] + NameFields.settings).sorted()
    }

    /// - Parameters:
    ///   - text: the template
    ///   - flag: where it came from, for errors
    /// - Throws: `InputError` for an unknown field
    package init(_ text: String, flag: String = "--output") throws(InputError) {
        var (parts, plain, rest): ([Part], String, Substring) = ([], "", text[...])
        while let character = rest.popFirst() {
            if "{}".contains(character), rest.first == character {
                plain.append(character)
                rest.removeFirst()
                continue
            }
            guard character == "{", let end = rest.firstIndex(of: "}"), end > rest.startIndex else {
                plain.append(character)
                continue
            }
            let name = String(rest[..<end])
            guard Self.fields.contains(name) else {
                throw InputError(
                    "\(flag) \(text)",
                    "{\(name)} is not a field of a name",
                    fix: "Use {" + Self.fields.joined(separator: "}, {") + "}; {{ is a brace"
                )
            }
            if !plain.isEmpty { parts.append(.text(plain)) }
            parts.append(.field(name))
            plain = ""
            rest = rest[rest.index(after: end)...]
        }
        if !plain.isEmpty { parts.append(.text(plain)) }
        self.parts = parts
    }

    package var hasFields: Bool {
        parts.contains { if case .field = $0 { true } else { false } }
    }

    /// The part of the path up to its last slash before any field: a folder that must exist. Nil where folders have
    /// no fields.
    package var fixedFolder: String? {
        let isInFolder = parts.lastIndex {
            if case .text(let text) = $0 { text.contains("/") } else { false }
        }
        guard let first = parts.firstIndex(where: { if case .field = $0 { true } else { false } }),
            let isInFolder, isInFolder > first
        else { return nil }
        guard case .text(let start)? = parts.first, let slash = start.lastIndex(of: "/") else {
            return "."
        }
        return slash == start.startIndex ? "/" : String(start[..<slash])
    }

    /// The path of one picture: what stands for a field has no slash, does not begin with a dot, and the name has at
    /// most 200 bytes.
    ///
    /// - Parameter values: of the fields
    /// - Returns: the path
    package func path(_ values: [String: String]) -> String {
        var path = ""
        for part in parts {
            switch part {
            case .text(let text): path += text
            case .field(let name):
                let value = Self.safe(values[name] ?? "")
                path += name == "prompt" ? String(value.prefix(Self.longestPrompt)) : value
            }
        }
        // A name that somebody wrote out is left alone.
        return hasFields ? Self.bounded(path) : path
    }

    /// A value as part of a file's name: letters, digits and `._+=,-`; everything else is a dash.
    static func safe(_ value: String) -> String {
        let plain = value.map { character in
            character.isLetter || character.isNumber || "._+=,".contains(character)
                ? character : "-"
        }
        let words = String(plain).split(separator: "-").joined(separator: "-")
        let name = words.trimmingCharacters(in: CharacterSet(charactersIn: "-.,"))
        return name.isEmpty ? "none" : name
    }

    /// Shortens the last component, before its extension.
    private static func bounded(_ path: String) -> String {
        let start = path.lastIndex(of: "/").map { path.index(after: $0) } ?? path.startIndex
        let name = path[start...]
        guard name.utf8.count > longestName else { return path }
        let dot = name.lastIndex(of: ".") ?? name.endIndex
        let ending = name[dot...].utf8.count <= 10 ? name[dot...] : ""
        var stem = name[..<dot]
        while stem.utf8.count + ending.utf8.count > longestName { stem.removeLast() }
        return String(path[..<start] + stem + ending)
    }
}
