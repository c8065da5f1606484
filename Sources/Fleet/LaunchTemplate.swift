import Engine
import Foundation

/// A template for the command line that runs a command on a host.
///
///     ssh -o BatchMode=yes {host} {command}
///
/// `{host}` is the host's name, `{folder}` the folder of the cluster file, `{command}` the whole command quoted for a
/// shell, `{arguments}` its separate words; `{{` and `}}` are literal braces.
package struct LaunchTemplate: Equatable, Sendable {
    /// What is wrong with an invalid template.
    package struct Problem: Error, Equatable {
        package let text: String
        package let remedy: String
    }

    private enum Piece: Equatable, Sendable {
        case text(String)
        case host
        case folder
        case command
        case arguments
    }

    private let words: [[Piece]]

    /// Never prompts, has a short connection timeout, and detects a broken link.
    package static let defaultText =
        "ssh -o BatchMode=yes -o ConnectTimeout=10 -o ServerAliveInterval=15 {host} {command}"

    /// Parses a template, splitting it into words as a shell would.
    package init(_ text: String) throws(Problem) {
        guard let words = ShellWords.split(text) else {
            throw Problem(text: "a quote is not closed", remedy: "Close it")
        }
        try self.init(words: words)
    }

    package init(words: [String]) throws(Problem) {
        guard let first = words.first, !first.isEmpty else {
            throw Problem(text: "there is no program", remedy: "Begin with one, as in ssh")
        }
        var read: [[Piece]] = []
        for word in words { read.append(try Self.pieces(of: word)) }
        self.words = read
        let places = read.joined().filter { $0 == .command || $0 == .arguments }
        guard places.count == 1 else {
            throw Problem(
                text: places.isEmpty
                    ? "it has no place for the command" : "it has two places for the command",
                remedy: "Write {command} once, as in ssh {host} {command}"
            )
        }
        guard read.allSatisfy({ !$0.contains(.arguments) || $0.count == 1 }) else {
            throw Problem(
                text: "{arguments} stands for several words and must be one by itself",
                remedy: "Use {command} within a word"
            )
        }
    }

    private static func pieces(of word: String) throws(Problem) -> [Piece] {
        var pieces: [Piece] = []
        var text = ""
        var rest = Substring(word)
        while let character = rest.popFirst() {
            if "{}".contains(character), rest.first == character {
                rest.removeFirst()
                text.append(character)
            } else if character == "{" {
                guard let end = rest.firstIndex(of: "}") else {
                    throw Problem(text: "'\(word)' opens a brace", remedy: "Close it, or write {{")
                }
                let name = rest[..<end]
                let known: [Substring: Piece] = [
                    "host": .host, "folder": .folder, "command": .command,
                    "arguments": .arguments,
                ]
                guard let piece = known[name] else {
                    throw Problem(
                        text: "there is no {\(name)}",
                        remedy: "Use {host}, {folder}, {command} or {arguments}"
                    )
                }
                pieces += [.text(text), piece]
                text = ""
                rest = rest[rest.index(after: end)...]
            } else if character == "}" {
                throw Problem(text: "'\(word)' closes a brace", remedy: "Write }} for a brace")
            } else {
                text.append(character)
            }
        }
        return (pieces + [.text(text)]).filter { $0 != .text("") }
    }

    /// The command line for a host.
    ///
    /// - Parameters:
    ///   - arguments: the command to run on the host, program first
    ///   - host: name of the host
    ///   - folder: folder of the cluster file
    /// - Returns: program and arguments
    package func command(_ arguments: [String], host: String, folder: String) -> [String] {
        words.flatMap { word -> [String] in
            if word == [.arguments] { return arguments }
            return [
                word.map { piece in
                    switch piece {
                    case .text(let text): text
                    case .host: host
                    case .folder: folder
                    case .command, .arguments: ShellWords.join(arguments)
                    }
                }.joined()
            ]
        }
    }
}
