import Engine
import Foundation

/// The `parameters` text of A1111 and its relatives: the prompt, the negative prompt, and a line of settings. Pure.
package struct Infotext {
    package private(set) var prompt = ""
    package private(set) var negativePrompt: String?
    /// Fields in the order of the text; of two with the same key, only the last is kept.
    package private(set) var fields: [(key: String, value: String)] = []
    private var values: [String: String] = [:]

    /// Parses the text by the rules of A1111's own parser: the last line holds the settings if it has three or more.
    package init(_ text: String) {
        var lines = text.trimmingCharacters(in: .whitespacesAndNewlines)
            .split(omittingEmptySubsequences: false, whereSeparator: \.isNewline).map(String.init)
        let found = Self.pairs(of: lines.last ?? "").map { ($0.key, Self.unquoted($0.value)) }
        if found.count >= 3 {
            lines.removeLast()
            for (key, value) in found.reversed() where values[key] == nil {
                values[key] = value
                fields.append((key, value))
            }
            fields.reverse()
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

    subscript(key: String) -> String? { values[key] }

    /// The fields of a line, found in one pass: `key: value, key: "value, in quotes", …`. A key has two or more
    /// letters, digits, spaces and `_-/`, and begins with a letter, a digit or `_`. Values are returned as written.
    package static func pairs(of line: String) -> [(key: String, value: String)] {
        let scalars = Array(line.unicodeScalars)
        func text(_ range: Range<Int>) -> String {
            var view = String.UnicodeScalarView()
            view.append(contentsOf: scalars[range])
            return String(view)
        }
        var fields: [(key: String, value: String)] = []
        var (start, at) = (0, 0)
        while let colon = scalars[at...].firstIndex(of: ":") {
            at = colon + 1
            // What precedes the colon, back to the last character that cannot be in a key.
            var first = colon
            while first > start, isOfKey(scalars[first - 1]) { first -= 1 }
            while first < colon, !isOfWord(scalars[first]) { first += 1 }
            guard colon - first >= 2 else {
                start = at
                continue
            }
            let value = value(in: scalars, from: at)
            fields.append((text(first..<colon), text(value)))
            at = min(value.upperBound + 1, scalars.count)
            start = at
        }
        return fields
    }

    private static func isOfWord(_ scalar: Unicode.Scalar) -> Bool {
        scalar == "_" || scalar.properties.isAlphabetic || scalar.properties.numericType != nil
    }

    private static func isOfKey(_ scalar: Unicode.Scalar) -> Bool {
        isOfWord(scalar) || " -/".unicodeScalars.contains(scalar)
    }

    /// Range of the value that begins here: quoted if a comma or the end follows the quotes, otherwise up to the next
    /// comma.
    private static func value(in scalars: [Unicode.Scalar], from start: Int) -> Range<Int> {
        var first = start
        while first < scalars.count, scalars[first].properties.isWhitespace { first += 1 }
        if first < scalars.count, scalars[first] == "\"" {
            var at = first + 1
            while at < scalars.count, scalars[at] != "\"" { at += scalars[at] == "\\" ? 2 : 1 }
            let end = at + 1
            if at > first + 1, end <= scalars.count, end == scalars.count || scalars[end] == "," {
                return first..<end
            }
        }
        // Civitai and others write an object of hashes without quotes.
        if first < scalars.count, scalars[first] == "{",
            let brace = scalars[first...].firstIndex(of: "}"),
            brace + 1 == scalars.count || scalars[brace + 1] == ","
        {
            return first..<brace + 1
        }
        return first..<(scalars[first...].firstIndex(of: ",") ?? scalars.count)
    }

    /// Decodes a quoted value, which is a JSON string.
    private static func unquoted(_ text: String) -> String {
        guard text.hasPrefix("\""), text.hasSuffix("\""),
            let value = try? JSON(text.utf8, place: "value").string
        else { return text.trimmingCharacters(in: .whitespaces) }
        return value
    }
}
