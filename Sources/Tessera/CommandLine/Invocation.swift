import ArgumentParser
import Coordinator
import Engine
import Fleet
import Foundation

/// This process's command line.
enum Invocation {
    private static let words = Array(CommandLine.arguments.dropFirst())
    /// Whether a coordinator, and not a person, started this process: such command lines are complete
    /// and need no preparation.
    private static let isStarted =
        words.contains("--end-with-coordinator") || words.first == "agent"

    /// All commands.
    static let commands =
        (isStarted ? nil : try? CommandDescription(Tessera.self))
        ?? CommandDescription(name: "tessera")

    /// Words after the program's name, with defaults from the environment.
    static let arguments = Result<PreparedArguments, InputError> { () throws(InputError) in
        try PreparedArguments(
            words,
            environment: environment,
            root: commands
        )
    }

    private static var environment: [String: String] {
        let all = ProcessInfo.processInfo.environment
        let ignoresDefaults = all[Spawn.withoutDefaults.name] == Spawn.withoutDefaults.value
        return isStarted || ignoresDefaults ? [:] : all
    }

    /// The words after the subcommand: defaults from the environment, and those that were given.
    static var flags: (defaults: [String], given: [String]) {
        guard let prepared = try? arguments.get() else { return ([], []) }
        let words = prepared.words.dropFirst(commands.find(prepared.words).depth)
        let count = prepared.defaultCount
        return (Array(words.prefix(count)), Array(words.dropFirst(count)))
    }

    /// Runs the command.
    ///
    /// - Returns: the exit status
    static func run() -> Int32 {
        if let unknown = UsageText.unknownCommand(words, root: commands) {
            return report(unknown, ExitStatus.badInput)
        }
        do {
            var command = try Tessera.parseAsRoot(try arguments.get().words)
            try command.run()
            return 0
        } catch let error as InputError {
            return report("\(error)", ExitStatus.status(of: error))
        } catch {
            let status = Tessera.exitCode(for: error)
            if status.isSuccess { return answer(Tessera.fullMessage(for: error)) }
            if error is ExitCode { return status.rawValue }
            return report(usage(error), ExitStatus.badInput)
        }
    }

    /// Prints what was requested: help, the version, a completion script.
    private static func answer(_ text: String) -> Int32 {
        do throws(OutputError) {
            try StandardOutput.write(lines: [text])
            return 0
        } catch {
            return report("\(error)", ExitStatus.fault)
        }
    }

    private static func report(_ problem: String, _ status: Int32) -> Int32 {
        StandardError.write("tessera: \(problem)", isLast: true)
        return status
    }

    /// A usage error as one line.
    private static func usage(_ error: any Error) -> String {
        UsageText.line(
            Tessera.message(for: error),
            command: words.prefix(commands.find(words).depth).joined(separator: " "),
            variables: (try? arguments.get().variables) ?? [:]
        )
    }
}

/// Texts of usage errors. Pure.
package enum UsageText {
    /// The parser's message as one line that refers to the help.
    ///
    /// - Parameters:
    ///   - message: may have several lines
    ///   - command: the subcommand; empty for none
    ///   - variables: flags that came from environment variables, and those variables
    /// - Returns: the line
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

    /// The parser's message as one line.
    package static func sentence(_ message: String) -> String {
        let lines = message.split(whereSeparator: \.isNewline)
            .map { $0.trimmingCharacters(in: .whitespaces) }.filter { !$0.isEmpty }
        // The parser lists many choices one a line.
        let choices = lines.filter { $0.hasPrefix("- ") }.map { "'\($0.dropFirst(2))'" }
        return (lines.filter { !$0.hasPrefix("- ") }.joined(separator: " "))
            .replacing("one of the following:", with: "one of " + choices.joined(separator: ", "))
    }

    /// The message for an unknown subcommand.
    package static func unknownCommand(_ words: [String], root: CommandDescription) -> String? {
        let path = words.first == "help" ? Array(words.dropFirst()) : words
        let (command, depth) = root.find(path)
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
