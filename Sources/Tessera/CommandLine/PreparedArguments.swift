import Engine

/// A command line prepared for the parser: with defaults from the environment, and with values
/// that begin with a dash joined to their flags. Pure.
package struct PreparedArguments: Equatable, Sendable {
    /// Words after the program's name.
    package let words: [String]
    /// Words behind the command's name that came from environment variables.
    package let defaultCount: Int
    /// Flags that came from environment variables, and those variables.
    package let variables: [String: String]

    /// - Parameters:
    ///   - words: after the program's name
    ///   - environment: in which `TESSERA_STEPS=30` means `--steps 30` unless that flag is given
    ///   - root: all commands
    /// - Throws: `InputError` for a flag's variable whose value is neither yes nor no
    package init(
        _ words: [String],
        environment: [String: String],
        root: CommandDescription
    ) throws(InputError) {
        let (command, depth) = root.find(words)
        let (joined, given) = Self.joined(Array(words.dropFirst(depth)), of: command)
        var defaults: [String] = []
        var variables: [String: String] = [:]
        for argument in command.arguments ?? []
        where Self.takesDefault(argument, of: command.commandName) {
            guard let name = argument.longName, !given.contains(name) else { continue }
            let variable = Self.variable(name)
            guard let value = environment[variable], !value.isEmpty else { continue }
            switch argument.kind {
            case .option: defaults.append("--\(name)=\(value)")
            case .flag: if try Self.isYes(value, variable) { defaults.append("--\(name)") }
            case .positional: break
            }
            variables["--\(name)"] = variable
        }
        // Before the given words: after a "--" nothing would be parsed as a flag.
        self.words = Array(words.prefix(depth)) + defaults + joined
        self.variables = variables
        defaultCount = defaults.count
    }

    /// The environment variable of a flag: `--min-workers` is `TESSERA_MIN_WORKERS`.
    package static func variable(_ name: String) -> String {
        "TESSERA_" + name.uppercased().replacing("-", with: "_")
    }

    /// A resumed render keeps its own flags; and --insecure must be explicit on the command line.
    private static func takesDefault(
        _ argument: CommandDescription.Argument,
        of command: String
    ) -> Bool {
        !["resume", "agent"].contains(command)
            && !["help", "version", "insecure", "end-with-coordinator"].contains(argument.longName)
    }

    private static func isYes(_ value: String, _ variable: String) throws(InputError) -> Bool {
        switch value.lowercased() {
        case "1", "true", "yes", "on": return true
        case "0", "false", "no", "off": return false
        default:
            throw InputError(
                variable,
                "'\(value)' is neither yes nor no",
                fix: "Set it to 1 or 0, or unset it"
            )
        }
    }

    /// Joins a value that begins with a dash to its option, unless it is one of the command's own flags: then the
    /// value is missing.
    ///
    /// - Returns: the words, and the long names that were given
    private static func joined(
        _ words: [String],
        of command: CommandDescription
    ) -> ([String], Set<String>) {
        let arguments = command.arguments ?? []
        let options = Set(arguments.filter { $0.kind == .option }.compactMap(\.longName))
        let flags = Set(arguments.flatMap { $0.names ?? [] }.map(\.written))
        var result: [String] = []
        var given: Set<String> = []
        var rest = words[...]
        while let word = rest.popFirst() {
            guard word != "--" else { return (result + [word] + rest, given) }
            guard word.hasPrefix("--") else {
                result.append(word)
                continue
            }
            let name = String(word.dropFirst(2).prefix { $0 != "=" })
            given.insert(name)
            guard options.contains(name), !word.contains("="), let value = rest.first else {
                result.append(word)
                continue
            }
            let isFlag = flags.contains(String(value.prefix { $0 != "=" })) || value == "--"
            if value.hasPrefix("-"), !isFlag {
                result.append("\(word)=\(value)")
                rest.removeFirst()
            } else if !isFlag {
                result += [word, value]
                rest.removeFirst()
            } else {
                result.append(word)
            }
        }
        return (result, given)
    }
}
