import ArgumentParser
import Foundation

/// `tessera manual`: the manual page, for `make install`.
struct Manual: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Prints the manual page.",
        shouldDisplay: false
    )

    func run() throws {
        try ExitStatus.reporting {
            try StandardOutput.write(
                ManualPage.text(of: Invocation.commands, version: Tessera.configuration.version)
            )
        }
    }
}

/// The manual page, generated from the parser's description of the commands. Pure.
package enum ManualPage {
    /// - Parameters:
    ///   - root: all commands
    ///   - version: version of the program
    /// - Returns: source for groff, in the `man` macros
    package static func text(of root: CommandDescription, version: String) -> String {
        var lines = [
            ".TH TESSERA 1 \"\" \"Tessera \(version)\" \"User Commands\"", ".SH NAME",
            "tessera \\- \(escaped(root.abstract ?? ""))", ".SH SYNOPSIS",
            ".B tessera", ".I command", "[flags]", ".SH DESCRIPTION",
            escaped(root.discussion ?? ""), ".SH COMMANDS",
        ]
        func add(_ command: CommandDescription, after words: [String]) {
            let words = words + [command.commandName]
            for subcommand in command.displayed { add(subcommand, after: words) }
            guard command.displayed.isEmpty else { return }
            lines.append(".SS " + escaped(words.joined(separator: " ")))
            lines += [command.abstract, command.discussion].compactMap(\.self).flatMap {
                [escaped($0), ".PP"]
            }
            var section: String?
            for argument in command.arguments ?? []
            where argument.shouldDisplay && !isSkipped(argument, of: command) {
                if argument.sectionTitle != section, let title = argument.sectionTitle {
                    lines += [".PP", ".I " + escaped(title)]
                }
                section = argument.sectionTitle
                lines += [
                    ".TP", entry(argument, hasInverse: inverse(of: argument, in: command) != nil),
                    escaped(text(of: argument)),
                ]
            }
        }
        for command in root.displayed where command.commandName != "help" {
            add(command, after: ["tessera"])
        }
        return lines.joined(separator: "\n")
    }

    /// The flag that turns this one off, if there is one.
    private static func inverse(
        of argument: CommandDescription.Argument,
        in command: CommandDescription
    ) -> CommandDescription.Argument? {
        guard argument.kind == .flag, let name = argument.longName else { return nil }
        return command.arguments?.first { $0.kind == .flag && $0.longName == "no-\(name)" }
    }

    /// Whether an argument has no entry of its own: a flag that turns another one off is listed together with it.
    private static func isSkipped(
        _ argument: CommandDescription.Argument,
        of command: CommandDescription
    ) -> Bool {
        guard let name = argument.longName else { return false }
        let isInverse = command.arguments?.contains {
            inverse(of: $0, in: command)?.longName == name
        }
        return ["help", "version"].contains(name) || isInverse == true
    }

    private static func entry(
        _ argument: CommandDescription.Argument,
        hasInverse: Bool
    ) -> String {
        let value = escaped(argument.valueName ?? "")
        switch argument.kind {
        case .positional: return "\\fI\(value)\\fR"
        case .flag, .option:
            let off = hasInverse ? argument.longName.map { ["--no-\($0)"] } ?? [] : []
            let names = ((argument.names ?? []).map(\.written) + off)
                .map { "\\fB\(escaped($0))\\fR" }.joined(separator: ", ")
            return argument.kind == .flag ? names : "\(names) \\fI\(value)\\fR"
        }
    }

    private static func text(of argument: CommandDescription.Argument) -> String {
        let values = argument.allValues.map { "values: " + $0.joined(separator: ", ") }
        let initial = argument.defaultValue.map { "default: \($0)" }
        let facts = [values, initial].compactMap(\.self).joined(separator: "; ")
        return (argument.abstract ?? "") + (facts.isEmpty ? "" : " (\(facts))")
    }

    /// Text that groff prints literally: special characters are escaped, and characters beyond ASCII written as
    /// numbers.
    private static func escaped(_ text: String) -> String {
        let letters = text.unicodeScalars.map { scalar in
            switch scalar {
            case "\\": "\\e"
            case "-": "\\-"
            case _ where scalar.isASCII: String(scalar)
            default: "\\[u" + String(format: "%04X", scalar.value) + "]"
            }
        }.joined()
        return letters.split(separator: "\n", omittingEmptySubsequences: false)
            .map { line in
                if line.isEmpty { return ".PP" }
                return line.hasPrefix(".") || line.hasPrefix("'") ? "\\&\(line)" : String(line)
            }
            .joined(separator: "\n")
    }
}
