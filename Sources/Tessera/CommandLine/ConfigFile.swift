import Engine
import Fleet
import Yams

/// The user's own defaults for flags: `~/.config/tessera/config.yaml`.
///
///     steps: 30                    # of every command that has --steps
///     model: ~/models/sdxl
///     render:
///         output: ~/pictures/{seed}.png
///     cluster up:
///         min-workers: 4
package struct ConfigFile: Sendable {
    /// The default of one flag.
    package struct Entry: Equatable, Sendable {
        /// The values as typed after the flag; several if it may be repeated.
        package let values: [String]
        /// File and line, for error messages.
        package let place: String
    }

    /// Defaults by command and flag; those for all commands have an empty command name.
    private let sections: [String: [String: Entry]]

    private static let longest = 1 << 16

    /// Defaults of a user without a configuration file.
    package init() { self.init(sections: [:]) }

    private init(sections: [String: [String: Entry]]) { self.sections = sections }

    /// Reads the file named by `$TESSERA_CONFIG`, or else the user's default configuration file if it exists.
    ///
    /// - Parameters:
    ///   - environment: environment variables of the process
    ///   - root: all commands
    /// - Throws: `InputError` with file and line, or if the file named by the variable is missing
    package init(
        environment: [String: String],
        root: CommandDescription
    ) throws(InputError) {
        let named = environment["TESSERA_CONFIG"].flatMap { $0.isEmpty ? nil : $0 }
        guard let path = named ?? UserFolder.config.named("config.yaml"),
            named != nil || FileKind(path) != nil
        else {
            self.init()
            return
        }
        let text = try InputFile.text(path, limit: Self.longest)
        try self.init(yaml: text, place: path, root: root)
    }

    /// - Parameters:
    ///   - text: contents of the file
    ///   - place: path of the file, for messages
    ///   - root: all commands
    /// - Throws: `InputError` with the line of the first error
    package init(
        yaml text: String,
        place: String,
        root: CommandDescription
    ) throws(InputError) {
        guard let node = try YAMLForm.root(text, place: place), node.null == nil else {
            self.init()
            return
        }
        let reader = Reader(place: place, root: root)
        var sections: [String: [String: Entry]] = [:]
        for (name, value) in try reader.fields(node) {
            if value.mapping == nil {
                sections["", default: [:]][name.text] = try reader.entry(name, value, of: nil)
                continue
            }
            let command = try reader.command(name)
            for (flag, value) in try reader.fields(value) {
                sections[name.text, default: [:]][flag.text] = try reader.entry(
                    flag,
                    value,
                    of: command
                )
            }
        }
        self.init(sections: sections)
    }

    /// The default of a command's flag.
    ///
    /// - Parameters:
    ///   - flag: long name of the flag
    ///   - command: words that name the command, such as `cluster up`
    /// - Returns: nil if the file sets no default
    package func entry(_ flag: String, of command: String) -> Entry? {
        sections[command]?[flag] ?? sections[""]?[flag]
    }

    /// The default of a command's flag, from the command's own section only.
    package func entry(_ flag: String, only command: String) -> Entry? { sections[command]?[flag] }

    /// Parses and validates the nodes of a file.
    private struct Reader {
        struct Name {
            let text: String
            let place: String
        }

        let place: String
        let root: CommandDescription

        func line(_ node: Node) -> String { node.mark.map { "\(place):\($0.line)" } ?? place }

        func fields(_ node: Node) throws(InputError) -> [(name: Name, value: Node)] {
            guard let mapping = node.mapping else {
                throw InputError(
                    line(node),
                    "it is not a mapping of flags",
                    fix: "Write a flag and its default a line, such as steps: 30"
                )
            }
            return mapping.map { key, value in
                (Name(text: key.string ?? "", place: line(key)), value)
            }
        }

        /// The command that a section names.
        func command(_ name: Name) throws(InputError) -> CommandDescription.Leaf {
            let words = name.text.split(separator: " ").map(String.init)
            let (command, depth) = root.find(words)
            guard !words.isEmpty, depth == words.count, command.displayed.isEmpty else {
                throw InputError(
                    "\(name.place): \(name.text.prefix(80))",
                    "there is no such command",
                    fix: "Write a command of tessera --help, such as render or cluster up"
                )
            }
            return (words, command)
        }

        /// The default of a flag, which the given command must have; without a command, any of them.
        func entry(
            _ name: Name,
            _ node: Node,
            of command: CommandDescription.Leaf?
        ) throws(InputError) -> Entry? {
            let commands = command.map { [$0] } ?? root.leaves
            let arguments =
                commands.filter {
                    PreparedArguments.takesDefaults($0.words.joined(separator: " "))
                }
                .flatMap { $0.command.arguments ?? [] }
            let found = arguments.first {
                $0.longName == name.text && PreparedArguments.takesDefault($0)
            }
            guard let found else {
                let near = commands.lazy.compactMap { $0.command.nearestOption(to: name.text) }
                    .first
                throw InputError(
                    "\(name.place): \(name.text.prefix(80))",
                    "no flag of this name has a default here",
                    fix: near.map { "Did you mean \($0)?" } ?? "See tessera render --help"
                )
            }
            if node.null != nil { return nil }
            let items = node.sequence.map { Array($0) } ?? [node]
            var values: [String] = []
            for item in items {
                guard let text = item.scalar?.string, !text.contains("\0") else {
                    throw InputError(
                        "\(name.place): \(name.text)",
                        "it must be a value or a list of values",
                        fix: "Write the value as after the flag"
                    )
                }
                values.append(found.kind == .option ? UserFolder.expanded(text) : text)
            }
            // Flags that take several values in one argument separate them by commas.
            if !found.isRepeating, values.count > 1 { values = [values.joined(separator: ",")] }
            return Entry(values: values, place: name.place)
        }
    }
}
