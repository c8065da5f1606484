import Protocol

/// Usage error messages. Pure.
package enum UsageText {
    /// The parser's message as a single line that points to the help.
    ///
    /// - Parameters:
    ///   - message: the parser's message, possibly several lines
    ///   - command: the subcommand; empty if there is none
    ///   - variables: flags whose values are defaults, and where each came from
    /// - Returns: the message as one line
    package static func line(
        _ message: String,
        command: String,
        variables: [String: String]
    ) -> String {
        let text = sentence(message)
        let end = text.last.map { ".?!".contains($0) } ?? true ? "" : "."
        let causes = variables.sorted { $0.key < $1.key }
            .filter { flag, _ in text.contains("'\(flag) ") || text.contains("'\(flag)'") }
            .map { " \($0.value) sets it." }.joined()
        let help = (["tessera", command, "--help"]).filter { !$0.isEmpty }.joined(separator: " ")
        return "\(text)\(end)\(causes) See \(help)."
    }

    /// The parser's message as a single line.
    package static func sentence(_ message: String) -> String {
        let lines = message.split(whereSeparator: \.isNewline)
            .map { $0.trimmingCharacters(in: .whitespaces) }.filter { !$0.isEmpty }
        // The parser lists long sets of choices one per line.
        let choices = lines.filter { $0.hasPrefix("- ") }.map { "'\($0.dropFirst(2))'" }
        let joined = (lines.filter { !$0.hasPrefix("- ") }.joined(separator: " "))
            .replacing("one of the following:", with: "one of " + choices.joined(separator: ", "))
        return joined + (choices.isEmpty ? hint(joined) : "")
    }

    /// How to write a value that could not be parsed; empty if that is obvious.
    private static func hint(_ text: String) -> String {
        let form = forms.first { text.contains("is invalid for '--\($0.key) ") }?.value
        return form.map { ". Write \($0)." } ?? ""
    }

    /// Formats of values that are neither plain numbers nor one of a few words.
    private static let forms = [
        "for": "a time such as 90s, 30m, 12h or 7d, at most a year",
        "extend":
            "four numbers of pixels to add: left,top,right,bottom, such as 64,0,64,0, not all of them 0",
        "size": "WIDTHxHEIGHT in pixels, such as 1024x768",
        "seed": "a whole number from 0 up, or -1 for a random one",
        "ladder": "scales that rise from 1, such as 1,2,4, or auto",
        "stride": "a number of latent pixels, or window",
        "cosine-scales": "three numbers, such as 3,1,1",
        "guidance-interval": "the lowest and the highest noise level, such as 0.28,5.42",
    ]

    /// Replaces the parser's suggestion for an unknown option with our own: the parser suggests anything within three
    /// edits, however short the word.
    ///
    /// - Parameters:
    ///   - message: the parser's message
    ///   - words: the words of the command line
    ///   - root: all commands
    /// - Returns: the corrected message
    package static func corrected(
        _ message: String,
        _ words: [String],
        root: CommandDescription
    ) -> String {
        guard
            let unknown = message.firstMatch(
                of: /^(?:Error: )?(Unknown option '(--?)([^'=]+)[^']*')/
            )
        else { return message }
        let start = String(unknown.1)
        let flag = "\(unknown.2)\(unknown.3)"
        let torn = zip(words, words.dropFirst()).lazy.filter { $1.hasPrefix(flag) }
            .compactMap(InvitationCode.tear).first
        if let torn { return "\(torn)" }
        let (command, depth) = root.find(words)
        if let meant = ForeignFlags.meaning(of: flag, in: command) {
            return "\(start). Did you mean '\(meant)'?"
        }
        guard unknown.2 == "--" else { return start }
        let name = String(unknown.3)
        if let meant = command.nearestOption(to: name) {
            return "\(start). Did you mean '--\(meant)'?"
        }
        let others = root.leaves.filter { $0.command.hasOption(name) }
        guard !others.isEmpty, others.count <= 4 else { return start }
        let names = others.map { "tessera " + $0.words.joined(separator: " ") }
        let own = "tessera " + words.prefix(depth).joined(separator: " ")
        return
            "\(start): \(names.joined(separator: ", ")) \(names.count == 1 ? "has" : "have") it, "
            + "\(own) does not"
    }

    /// The message for an unknown subcommand.
    package static func unknownCommand(_ words: [String], root: CommandDescription) -> String? {
        let path = words.first == "help" ? Array(words.dropFirst()) : words
        let (command, depth) = root.named(path)
        guard !command.displayed.isEmpty, let word = path.dropFirst(depth).first,
            !word.hasPrefix("-"), word != "help"
        else { return nil }
        let whole = (["tessera"] + path.prefix(depth)).joined(separator: " ")
        if let meant = command.nearest(to: word) {
            return "'\(word)' is not a command of \(whole). Did you mean '\(whole) \(meant)'?"
        }
        let names = command.displayed.map(\.commandName).joined(separator: ", ")
        return "'\(word)' is not a command of \(whole). Its commands are: \(names)."
    }
}
