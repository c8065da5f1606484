import Engine
import Foundation

/// A path with fields in it, such as `{date}/{seed}-{prompt}.png`. `{{` and `}}` stand for braces.
package struct NameTemplate: Equatable, Sendable {
    private enum Part: Equatable {
        case text(String)
        case field(String)
    }

    private let parts: [Part]

    /// Maximum length of a prompt in a name, in characters.
    private static let longestPrompt = 60
    /// Maximum length of a file name in bytes: file systems accept 255, of which a temporary suffix and a number need
    /// some.
    private static let longestName = 200
    /// Fields that are not settings.
    private static let ownFields = ["count", "date", "index", "model", "prompt", "time"]

    /// The fields that a name may have.
    package static var fields: [String] {
        (ownFields + ["height", "width"] + NameFields.settings).sorted()
    }

    /// - Parameters:
    ///   - text: the template
    ///   - flag: the flag that it came from, for errors
    /// - Throws: `InputError` for an unknown field
    package init(_ text: String, flag: String = "--output") throws(InputError) {
        guard text.utf8.count <= OutputPath.maxBytes else {
            throw InputError(
                flag,
                "it has \(text.utf8.count) bytes",
                fix: "Use at most \(OutputPath.maxBytes)"
            )
        }
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

    /// The part of the path up to its last slash before any field: a folder that must exist. Nil if no folder has
    /// fields.
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

    /// The path of one picture: field values have no slash and do not begin with a dot, and names of files and folders
    /// with fields have at most 200 bytes. Names without fields are left unchanged.
    ///
    /// - Parameter values: values of the fields
    /// - Returns: the path
    package func path(_ values: [String: String]) -> String {
        // Components, and whether they have fields.
        var names: [(text: String, hasField: Bool)] = [("", false)]
        for part in parts {
            switch part {
            case .text(let text):
                let pieces = text.split(separator: "/", omittingEmptySubsequences: false)
                for (i, piece) in pieces.enumerated() {
                    if i > 0 { names.append(("", false)) }
                    names[names.count - 1].text += piece
                }
            case .field(let name):
                let value = Self.safe(values[name] ?? "")
                names[names.count - 1].text +=
                    name == "prompt" ? String(value.prefix(Self.longestPrompt)) : value
                names[names.count - 1].hasField = true
            }
        }
        return names.enumerated().map { i, name in
            name.hasField ? Self.bounded(name.text, isFile: i == names.count - 1) : name.text
        }.joined(separator: "/")
    }

    /// A value as part of a file name: letters, digits and `._+=,-`; everything else becomes a dash.
    static func safe(_ value: String) -> String {
        let plain = value.map { character in
            character.isLetter || character.isNumber || "._+=,".contains(character)
                ? character : "-"
        }
        let words = String(plain).split(separator: "-").joined(separator: "-")
        let name = words.trimmingCharacters(in: CharacterSet(charactersIn: "-.,"))
        return name.isEmpty ? "none" : name
    }

    /// Shortens a name to the maximum length: that of a file before its extension.
    private static func bounded(_ name: String, isFile: Bool) -> String {
        guard name.utf8.count > longestName else { return name }
        let dot = isFile ? name.lastIndex(of: ".") ?? name.endIndex : name.endIndex
        let ending = name[dot...].utf8.count <= 10 ? name[dot...] : ""
        return cut(name[..<dot], toBytes: longestName - ending.utf8.count) + ending
    }

    /// The longest prefix of a text with at most `limit` bytes that ends between two characters, or, if the first one
    /// alone is longer, between two Unicode scalars.
    private static func cut(_ text: Substring, toBytes limit: Int) -> String {
        var (result, count) = ("", 0)
        for character in text {
            let more = character.utf8.count
            guard count + more <= limit else { break }
            result.append(character)
            count += more
        }
        guard result.isEmpty else { return result }
        var scalars = String.UnicodeScalarView()
        for scalar in text.unicodeScalars {
            count += String(scalar).utf8.count
            guard count <= limit else { break }
            scalars.append(scalar)
        }
        return String(scalars)
    }
}
