import ArgumentParser
import Foundation

/// A command with its subcommands and arguments, as the parser describes it.
package struct CommandDescription: Decodable, Sendable {
    package struct Argument: Decodable, Sendable {
        package struct Name: Decodable, Sendable {
            package let kind: String
            package let name: String

            /// As it is written.
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

    /// Subcommands that people call.
    package var displayed: [CommandDescription] {
        (subcommands ?? []).filter { $0.shouldDisplay ?? true }
    }

    /// The command that the first words name, and how many words that are.
    package func find(_ words: [String]) -> (command: CommandDescription, depth: Int) {
        guard let first = words.first,
            let next = subcommands?.first(where: { $0.commandName == first })
        else { return (self, 0) }
        let (command, depth) = next.find(Array(words.dropFirst()))
        return (command, depth + 1)
    }

    /// The name among the subcommands that was probably meant.
    package func nearest(to word: String) -> String? {
        displayed.map { ($0.commandName, EditDistance.between($0.commandName, word)) }
            .filter { $0.1 <= max(1, min(3, $0.0.count / 2)) || $0.0.hasPrefix(word) }
            .min { ($0.1, $0.0) < ($1.1, $1.0) }?.0
    }

    /// A command without anything in it.
    init(name: String) {
        commandName = name
        (abstract, discussion, shouldDisplay) = (nil, nil, nil)
        (subcommands, arguments) = (nil, nil)
    }

    /// Reads what the parser says of a command.
    init<Command: ParsableCommand>(_ command: Command.Type) throws {
        self = try JSONDecoder().decode(Dump.self, from: Data(Command._dumpHelp().utf8)).command
    }
}

/// What the parser writes.
private struct Dump: Decodable {
    let command: CommandDescription
}

/// How far apart two words are.
package enum EditDistance {
    /// Letters to insert, remove, replace, or swap with their neighbour to make one word of the other.
    package static func between(_ a: String, _ b: String) -> Int {
        let (a, b) = (Array(a), Array(b))
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
