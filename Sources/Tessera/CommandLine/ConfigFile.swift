import Engine
import Fleet
import Yams

/// A user's own defaults of flags: `~/.config/tessera/config.yaml`.
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
        /// As they are typed behind the flag; several where it may be repeated.
        package let values: [String]
        /// File and line.
        package let place: String
    }

    /// By command and flag; of all commands under an empty name.
    private let sections: [String: [String: Entry]]

    private static let longest = 1 << 16

    /// No file.
    package init() { self.init(sections: [:]) }

    private init(sections: [String: [String: Entry]]) { self.sections = sections }

    /// Reads the file that `$TESSERA_CONFIG` names, else the user's own if there is one.
    ///
    /// - Parameters:
    ///   - environment: of the process
    ///   - root: all commands
    /// - Throws: `InputError` with file and line, or naming a file that is missing though the variable names it
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
    ///   - text: of the file
    ///   - place: its path, for messages
    ///   - root: all commands
    /// - Throws: `InputError` with the line of the first mistake
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
    ///   - flag: its long name
    ///   - command: its words, such as `cluster up`
    /// - Returns: nil where the file has none
    package func entry(_ flag: String, of command: String) -> Entry? {
        sections[command]?[flag] ?? sections[""]?[flag]
    }

    /// The default of a command's flag in its own section.
    package func entry(_ flag: String, only command: String) -> Entry? { sections[command]?[flag] }

    /// What reads a file needs to know.
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

        /// The command of a section.
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

        /// The values of a flag, if the command has it, or any command.
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
                        fix: "Write it as behind the flag"
                    )
                }
                values.append(found.kind == .option ? UserFolder.expanded(text) : text)
            }
            // As flags that take several values at once have them.
            if !found.isRepeating, values.count > 1 { values = [values.joined(separator: ",")] }
            return Entry(values: values, place: name.place)
        }
    }
}
