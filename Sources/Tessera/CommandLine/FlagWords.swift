import Engine

/// Words of a command line as `PreparedArguments` leaves them: a value follows `=` or is the next word. Pure.
struct FlagWords: Equatable {
    private(set) var words: [String]
    /// Long names of the command's flags that take a value.
    private let options: Set<String>

    init(_ words: [String], of command: CommandDescription) {
        self.words = words
        options = Set(
            (command.arguments ?? []).filter { $0.kind == .option }.compactMap(\.longName)
        )
    }

    /// Each flag, followed by its value if that is a separate word.
    private var flags: [(name: String?, words: ArraySlice<String>)] {
        var (flags, rest): ([(String?, ArraySlice<String>)], ArraySlice<String>) = ([], words[...])
        while let word = rest.first {
            guard word.hasPrefix("--"), word.count > 2 else {
                flags.append((nil, rest.prefix(1)))
                rest = rest.dropFirst()
                continue
            }
            let name = String(word.dropFirst(2).prefix { $0 != "=" })
            let count = options.contains(name) && !word.contains("=") ? 2 : 1
            flags.append((name, rest.prefix(count)))
            rest = rest.dropFirst(count)
        }
        return flags
    }

    /// Long names of the flags present; `--no-karras` also counts as `karras`.
    var names: Set<String> {
        Set(
            flags.compactMap(\.name).map {
                $0.hasPrefix("no-") ? [$0, String($0.dropFirst(3))] : [$0]
            }
            .joined()
        )
    }

    /// The words, with empty values as separate words: the parser treats an empty value after `=` as missing.
    var spelled: [String] {
        words.flatMap { word in
            let name = word.dropFirst(2).dropLast()
            guard word.hasPrefix("--"), word.hasSuffix("="), options.contains(String(name)) else {
                return [word]
            }
            return ["--\(name)", ""]
        }
    }

    /// The words without the given flags and their values.
    func removing(_ names: Set<String>) -> [String] {
        flags.filter { flag in flag.name.map { !names.contains($0) } ?? true }.flatMap(\.words)
    }
}
