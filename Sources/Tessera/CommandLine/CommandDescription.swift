import ArgumentParser
import Foundation

/// A command with its subcommands and arguments, as described by the parser.
package struct CommandDescription: Decodable, Sendable {
    package struct Argument: Decodable, Sendable {
        package struct Name: Decodable, Sendable {
            package let kind: String
            package let name: String

            /// The name with its dashes, as typed on the command line.
            package var written: String { (kind == "long" ? "--" : "-") + name }
        }

        package enum Kind: String, Decodable, Sendable {
            case positional, option, flag
        }

        package let kind: Kind
        package let names: [Name]?
        package let valueName: String?
        package let defaultValue: String?
        package let allValues: [String]?
        package let abstract: String?
        package let sectionTitle: String?
        package let shouldDisplay: Bool
        package let isOptional: Bool
        package let isRepeating: Bool

        /// The long name without its dashes.
        package var longName: String? { names?.first { $0.kind == "long" }?.name }
    }

    package let commandName: String
    package let abstract: String?
    package let discussion: String?
    package let shouldDisplay: Bool?
    package let subcommands: [CommandDescription]?
    package let arguments: [Argument]?

    /// Subcommands shown to users.
    package var displayed: [CommandDescription] {
        (subcommands ?? []).filter { $0.shouldDisplay ?? true }
    }

    /// The command that the words start with, and how many words name it.
    package func find(_ words: [String]) -> (command: CommandDescription, depth: Int) {
        let (command, depth) = named(words)
        // The parser's description does not say which subcommand is the default.
        let isJobs = command.commandName == JobsCommand.configuration.commandName
        return (
            isJobs ? command.subcommand(JobsCommand.List._commandName) ?? command : command, depth
        )
    }

    /// The command named by the first words, ignoring default subcommands, and how many words name it.
    func named(_ words: [String]) -> (command: CommandDescription, depth: Int) {
        guard let next = subcommand(words.first) else { return (self, 0) }
        let (command, depth) = next.named(Array(words.dropFirst()))
        return (command, depth + 1)
    }

    private func subcommand(_ name: String?) -> CommandDescription? {
        name.flatMap { name in subcommands?.first { $0.commandName == name } }
    }

    /// The subcommand that was probably meant, for "did you mean" hints.
    package func nearest(to word: String) -> String? {
        displayed.map { ($0.commandName, EditDistance.between($0.commandName, word)) }
            .filter { $0.1 <= max(1, min(3, $0.0.count / 2)) || $0.0.hasPrefix(word) }
            .min { ($0.1, $0.0) < ($1.1, $1.0) }?.0
    }

    /// Long names of the options and flags shown to users.
    private var optionNames: [String] {
        (arguments ?? []).filter(\.shouldDisplay).flatMap { $0.names ?? [] }
            .filter { $0.kind == "long" }.map(\.name)
    }

    /// Whether the command has a flag or option with this name.
    func hasOption(_ name: String) -> Bool { optionNames.contains(name) }

    /// The option that was probably meant: one that starts with the word or is a few edits away.
    package func nearestOption(to word: String) -> String? {
        let names = optionNames
        if word.count >= 3 {
            let longer = names.filter { $0.hasPrefix(word) }
            if let shortest = longer.min(by: { ($0.count, $0) < ($1.count, $1) }) {
                return shortest
            }
        }
        // At most a third of the letters may differ: 'with' is not 'wire'.
        return names.map { ($0, EditDistance.between($0, word)) }
            .filter { $0.1 <= max(1, min($0.0.count, word.count) / 3) && $0.1 <= 3 }
            .min { ($0.1, $0.0) < ($1.1, $1.0) }?.0
    }

    /// A command without subcommands, with the words that name it.
    typealias Leaf = (words: [String], command: CommandDescription)

    /// All leaf commands below this one.
    var leaves: [Leaf] {
        displayed.flatMap { command in
            command.displayed.isEmpty
                ? [([command.commandName], command)]
                : command.leaves.map { ([command.commandName] + $0.words, $0.command) }
        }
    }

    /// A command without arguments or subcommands.
    init(name: String) {
        commandName = name
        (abstract, discussion, shouldDisplay) = (nil, nil, nil)
        (subcommands, arguments) = (nil, nil)
    }

    /// Reads the parser's description of a command.
    init<Command: ParsableCommand>(_ command: Command.Type) throws {
        self = try JSONDecoder().decode(Dump.self, from: Data(Command._dumpHelp().utf8)).command
    }
}

/// Top level of the parser's JSON.
private struct Dump: Decodable {
    let command: CommandDescription
}

/// Edit distance between two words.
package enum EditDistance {
    /// Number of insertions, deletions, substitutions and swaps of neighbouring letters that turn one word into the
    /// other.
    package static func between(_ a: String, _ b: String) -> Int {
        // Nobody types a misspelt flag of thousands of letters.
        guard max(a.utf8.count, b.utf8.count) <= 256 else { return 256 }
        let (a, b) = (Array(a), Array(b))
        // The difference in length is a lower bound on the distance.
        guard abs(a.count - b.count) <= 16 else { return abs(a.count - b.count) }
        var rows = [Array(0...b.count)]
        for i in a.indices {
            var row = [i + 1]
            for j in b.indices {
                var least = min(
                    rows[i][j] + (a[i] == b[j] ? 0 : 1),
                    rows[i][j + 1] + 1,
                    row[j] + 1
                )
                if i > 0, j > 0, a[i] == b[j - 1], a[i - 1] == b[j] {
                    least = min(least, rows[i - 1][j - 1] + 1)
                }
                row.append(least)
            }
            rows.append(row)
        }
        return rows[a.count][b.count]
    }
}
