import Engine
import Sampling

/// A command line prepared for the parser: with defaults from the environment, and with values
/// that begin with a dash joined to their flags. Pure.
package struct PreparedArguments: Equatable, Sendable {
    /// Words after the program's name.
    package let words: [String]
    /// Words behind the command's name that came from environment variables.
    package let defaultCount: Int
    /// Flags that came from environment variables, and those variables.
    package let variables: [String: String]
    /// The values of those variables.
    private let values: [String: String]

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
        var values: [String: String] = [:]
        // Help does not depend on the environment.
        let environment = Self.asksForHelp(joined) ? [:] : environment
        func value(ofVariable name: String) -> String? {
            environment[Self.variable(name)].flatMap { $0.isEmpty ? nil : $0 }
        }
        let method =
            Self.value(of: Settings.method.name, in: joined)
            ?? value(ofVariable: Settings.method.name)
        for argument in command.arguments ?? []
        where Self.takesDefault(argument, of: command.commandName) {
            guard let name = argument.longName, !given.contains(name),
                !given.contains("no-\(name)"), let value = value(ofVariable: name)
            else { continue }
            if let needed = Self.companions[name],
                let other = command.arguments?.first(where: { $0.longName == needed }),
                other.defaultValue == nil, !given.contains(needed),
                environment[Self.variable(needed)]?.isEmpty ?? true
            {
                continue
            }
            if let method, let only = Self.onlyMethod(name), only.rawValue != method { continue }
            let variable = Self.variable(name)
            switch argument.kind {
            case .option: defaults.append("--\(name)=\(value)")
            case .flag:
                if try Self.isYes(value, variable) {
                    defaults.append("--\(name)")
                } else if InvertibleFlags.names.contains(name) {
                    defaults.append("--no-\(name)")
                }
            case .positional: break
            }
            variables["--\(name)"] = variable
            values[variable] = value
        }
        // Before the given words: after a "--" nothing would be parsed as a flag.
        self.words = Array(words.prefix(depth)) + defaults + joined
        (self.variables, self.values) = (variables, values)
        defaultCount = defaults.count
    }

    /// The environment variable of a flag: `--min-workers` is `TESSERA_MIN_WORKERS`.
    package static func variable(_ name: String) -> String {
        "TESSERA_" + name.uppercased().replacing("-", with: "_")
    }

    /// Flags that mean nothing without another one: their variables count only beside it.
    private static let companions = [
        "only": "cluster", "min-workers": "cluster", "wait": "cluster",
        "strength": "init-image", "fidelity": "init-image", "max-init-pixels": "init-image",
        "image-guidance": "init-image", "mask": "init-image", "extend": "init-image",
    ]

    /// The only method that a setting's flag is for: its variable does not count beside the other one.
    private static func onlyMethod(_ name: String) -> Method? {
        let settings = RenderSettings(
            size: Settings.size.defaultValue,
            scheduler: Settings.scheduler.defaultValue
        )
        return Settings.all.first { $0.name == name }?.onlyMethod(in: settings)
    }

    /// The last value of a flag.
    private static func value(of name: String, in joined: [String]) -> String? {
        let words = joined.prefix { $0 != "--" }
        guard let i = words.lastIndex(where: { $0 == "--\(name)" || $0.hasPrefix("--\(name)=") })
        else { return nil }
        guard words[i] == "--\(name)" else { return String(words[i].dropFirst(name.count + 3)) }
        return i + 1 < words.endIndex ? words[i + 1] : nil
    }

    private static func asksForHelp(_ joined: [String]) -> Bool {
        joined.prefix { $0 != "--" }.contains {
            ["-h", "--help", "--help-hidden", "--version"].contains($0)
        }
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
            if options.contains(name), word == "--\(name)=" {
                // Behind "=" the parser takes an empty value for a missing one.
                result += ["--\(name)", ""]
                continue
            }
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

extension PreparedArguments {
    /// Names the variable in an error that is about a flag, or about a file, that came from one.
    package func naming(_ error: InputError) -> InputError {
        let place = naming(error.place)
        guard place == error.place else { return error.moved(to: place) }
        for (flag, variable) in variables.sorted(by: { $0.key < $1.key }) {
            guard let value = values[variable], value.count > 1 else { continue }
            // A LoRA's weight stands behind its path.
            let path = flag == "--lora" ? String(value.prefix { $0 != ":" }) : value
            for file in [value, path] where place.hasPrefix(file) {
                let next = place.dropFirst(file.count).first
                guard next == nil || next.map({ "/:, ".contains($0) }) == true else { continue }
                return error.moved(to: "\(place) (from \(variable))")
            }
        }
        return error
    }

    /// The same for a line of text that begins with a flag.
    package func naming(_ text: String) -> String {
        guard text.hasPrefix("--") else { return text }
        let flag = String(text.prefix { $0 == "-" || $0.isLetter || $0.isNumber })
        guard let variable = variables[flag] else { return text }
        return "\(flag) (from \(variable))\(text.dropFirst(flag.count))"
    }
}
