/// Splits and quotes words as a shell does.
package enum ShellWords {
    /// Splits at blanks that are not quoted; nothing is expanded.
    ///
    /// - Returns: nil when a quote is not closed
    package static func split(_ text: String) -> [String]? {
        var words: [String] = []
        var word: String?
        var quote: Character?
        var rest = Substring(text)
        while let character = rest.popFirst() {
            if character == "\\",
                quote == nil || quote == "\"" && "\"\\".contains(rest.first ?? " ")
            {
                guard let next = rest.popFirst() else { return nil }
                word = (word ?? "") + String(next)
            } else if character == quote {
                quote = nil
            } else if quote == nil, "'\"".contains(character) {
                quote = character
                word = word ?? ""
            } else if quote == nil, character.isWhitespace {
                if let found = word { words.append(found) }
                word = nil
            } else {
                word = (word ?? "") + String(character)
            }
        }
        guard quote == nil else { return nil }
        return words + (word.map { [$0] } ?? [])
    }

    /// Quotes words so that a shell reads them back. A leading `~/` remains the home folder.
    package static func join(_ words: [String]) -> String {
        words.map { word in
            if word.hasPrefix("~/") { return "~/" + quoted(String(word.dropFirst(2))) }
            return quoted(word)
        }.joined(separator: " ")
    }

    private static func quoted(_ word: String) -> String {
        let isPlain = word.unicodeScalars.allSatisfy { scalar in
            scalar.isASCII
                && (scalar.properties.isAlphabetic
                    || "0123456789@%+=:,./-_".unicodeScalars
                        .contains(scalar))
        }
        guard word.isEmpty || !isPlain else { return word }
        return "'" + word.replacing("'", with: "'\\''") + "'"
    }
}
