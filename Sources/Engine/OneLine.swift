/// Untrusted text made safe for one line of a terminal or a log: control characters, line breaks and
/// bidirectional control characters become "·".
///
/// - Parameters:
///   - text: the untrusted text
///   - limit: maximum number of Unicode scalars; longer text is cut off and ends in "…"
/// - Returns: one line
package func oneLine(_ text: String, limit: Int) -> String {
    var line = String.UnicodeScalarView()
    var count = 0
    for scalar in text.unicodeScalars {
        guard count < limit else {
            line.append("…")
            break
        }
        line.append(isHarmlessOnTerminal(scalar) ? scalar : "·")
        count += 1
    }
    return String(line)
}

/// Whether a character neither controls a terminal, nor ends a line, nor changes the direction of text.
package func isHarmlessOnTerminal(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar {
    case "\u{2028}", "\u{2029}", "\u{202A}"..."\u{202E}", "\u{2066}"..."\u{2069}": false
    default: scalar.properties.generalCategory != .control
    }
}
