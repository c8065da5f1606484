import Foundation

/// The last line of a picture's `parameters` text: `Steps: 20, Sampler: Euler, …`, as exchanged by Stable Diffusion
/// web interfaces.
///
/// Their parser finds `key: value` up to the next comma, keeps the last of two values with the same key, and
/// reads a value in double quotes as a JSON string.
struct SettingsLine {
    private var fields: [String] = []

    init(_ fields: KeyValuePairs<String, String> = [:]) {
        for (key, value) in fields { add(key, value) }
    }

    /// - Parameters:
    ///   - key: at least two letters, digits, spaces, hyphens or slashes; must be unique
    ///   - value: any text
    mutating func add(_ key: String, _ value: String) {
        fields.append("\(key): \(Self.quoted(value))")
    }

    var text: String { fields.joined(separator: ", ") }

    /// A value that the parser reads back unchanged: quoted if it contains a comma, a colon or a line break, as in the
    /// web interfaces, and also if it begins with a quote or has spaces at its ends.
    static func quoted(_ value: String) -> String {
        let scalars = value.unicodeScalars
        let needsQuotes =
            scalars.contains { $0 == "," || $0 == ":" || $0.value < 0x20 }
            || scalars.first == "\""
            || [scalars.first, scalars.last].contains { $0?.properties.isWhitespace == true }
        guard needsQuotes else { return value }
        var text = String.UnicodeScalarView("\"".unicodeScalars)
        for scalar in scalars {
            switch scalar {
            case "\"", "\\": text.append(contentsOf: ["\\", scalar])
            case "\n": text.append(contentsOf: "\\n".unicodeScalars)
            case "\r": text.append(contentsOf: "\\r".unicodeScalars)
            case "\t": text.append(contentsOf: "\\t".unicodeScalars)
            case _ where scalar.value < 0x20:
                text.append(contentsOf: String(format: "\\u%04x", scalar.value).unicodeScalars)
            default: text.append(scalar)
            }
        }
        text.append("\"")
        return String(text)
    }
}
