import Engine
import Foundation

/// The `parameters` text of A1111 and its relatives: the prompt, the negative prompt, and a line of settings. Pure.
package struct Infotext {
    package private(set) var prompt = ""
    package private(set) var negativePrompt: String?
    /// In the order of the text; of two with one key the last counts.
    package private(set) var fields: [(key: String, value: String)] = []

    /// Reads it by the rules of A1111's own parser: the last line is the settings if it has three or more.
    package init(_ text: String) {
        var lines = text.trimmingCharacters(in: .whitespacesAndNewlines)
            .split(omittingEmptySubsequences: false, whereSeparator: \.isNewline).map(String.init)
        let found = Self.fields(of: lines.last ?? "")
        if found.count >= 3 {
            lines.removeLast()
            for field in found {
                fields.removeAll { $0.key == field.key }
                fields.append(field)
            }
        }
        var (positive, negative): ([String], [String]?) = ([], nil)
        for line in lines {
            var line = line.trimmingCharacters(in: .whitespaces)
            if negative == nil, line.hasPrefix("Negative prompt:") {
                line = line.dropFirst(16).trimmingCharacters(in: .whitespaces)
                negative = []
            }
            if negative == nil { positive.append(line) } else { negative?.append(line) }
        }
        prompt = positive.joined(separator: "\n")
        negativePrompt = negative?.joined(separator: "\n")
    }

    subscript(key: String) -> String? { fields.first { $0.key == key }?.value }

    private static func fields(of line: String) -> [(key: String, value: String)] {
        let pattern = /\s*(\w[\w \-\/]+):\s*("(?:\\.|[^\\"])+"|[^,]*)(?:,|$)/
        return line.matches(of: pattern).map { match in
            (String(match.1), unquoted(String(match.2)))
        }
    }

    /// A value in quotes is a JSON string.
    private static func unquoted(_ text: String) -> String {
        guard text.hasPrefix("\""), text.hasSuffix("\""),
            let value = try? JSON(text.utf8, place: "value").string
        else { return text.trimmingCharacters(in: .whitespaces) }
        return value
    }
}
