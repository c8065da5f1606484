import ArgumentParser
import Coordinator
import Engine
import Fleet
import Foundation

/// This process's command line.
enum Invocation {
    private static let words = Array(CommandLine.arguments.dropFirst())
    /// Whether a coordinator rather than a user started this process: such command lines are complete and need no
    /// preparation.
    private static let isStarted =
        words.contains("--end-with-coordinator") || words.first == "agent"

    /// The parser's description of all commands.
    static let commands =
        (isStarted ? nil : try? CommandDescription(Tessera.self))
        ?? CommandDescription(name: "tessera")

    /// Words after the program's name, with defaults from the environment and the configuration file added.
    static let arguments = Result<PreparedArguments, InputError> { () throws(InputError) in
        try PreparedArguments(
            words,
            environment: environment,
            file: readsFile
                ? try ConfigFile(environment: environment, root: commands) : ConfigFile(),
            root: commands
        )
    }

    /// Whether this process takes defaults from the environment and the configuration file.
    private static let takesDefaults =
        !isStarted
        && ProcessInfo.processInfo.environment[Spawn.withoutDefaults.name]
            != Spawn.withoutDefaults.value

    /// Help and shell completion must work even if the configuration file is invalid.
    private static var readsFile: Bool {
        takesDefaults && !PreparedArguments.asksForHelp(words) && words.first != "---completion"
    }

    private static var environment: [String: String] {
        takesDefaults ? ProcessInfo.processInfo.environment : [:]
    }

    /// The words after the subcommand: defaults first, then those given by the user.
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
            let line = usage(error)
            return report((try? arguments.get())?.naming(line) ?? line, ExitStatus.badInput)
        }
    }

    /// Prints what was requested: help, the version or a completion script.
    private static func answer(_ text: String) -> Int32 {
        do throws(OutputError) {
            // Completion candidates are read by a shell, not by a user.
            if words.first == "---completion" {
                try StandardOutput.write(text)
            } else {
                try StandardOutput.write(paragraphs: text)
            }
            return 0
        } catch {
            return report("\(error)", ExitStatus.fault)
        }
    }

    private static func report(_ problem: String, _ status: Int32) -> Int32 {
        StandardError.write("tessera: \(problem)", isLast: true)
        return status
    }

    /// A usage error as a single line.
    private static func usage(_ error: any Error) -> String {
        UsageText.line(
            UsageText.corrected(Tessera.message(for: error), words, root: commands),
            command: words.prefix(commands.find(words).depth).joined(separator: " "),
            variables: (try? arguments.get().variables) ?? [:]
        )
    }
}
