/// Splits and quotes words as a shell does.
package enum ShellWords {
    /// Splits at blanks that are not quoted; nothing is expanded.
    ///
    /// - Returns: nil when a quote is not closed
    package static func split(_ text: String) -> [String]? {
        var words: [String] = []
        // The current word, which may be empty in quotes.
        var (word, isWord) = ("", false)
        var quote: Character?
        var rest = Substring(text)
        while let character = rest.popFirst() {
            if character == "\\",
                quote == nil || quote == "\"" && "\"\\".contains(rest.first ?? " ")
            {
                guard let next = rest.popFirst() else { return nil }
                word.append(next)
                isWord = true
            } else if character == quote {
                quote = nil
            } else if quote == nil, "'\"".contains(character) {
                quote = character
                isWord = true
            } else if quote == nil, character.isWhitespace {
                if isWord { words.append(word) }
                (word, isWord) = ("", false)
            } else {
                word.append(character)
                isWord = true
            }
        }
        guard quote == nil else { return nil }
        return words + (isWord ? [word] : [])
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
