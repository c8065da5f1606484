import Coordinator
import Engine
import Sampling

/// A command line prepared for the parser: defaults from the environment and the user's configuration file are added,
/// and values that start with a dash are joined to their flags. Pure.
package struct PreparedArguments: Equatable, Sendable {
    /// Words after the program's name.
    package let words: [String]
    /// How many words after the command's name are defaults.
    package let defaultCount: Int
    /// Flags whose values are defaults, and where each came from: an environment variable, or file and line.
    package let variables: [String: String]
    /// Default values by their origin.
    private let values: [String: [String]]

    /// - Parameters:
    ///   - words: the words after the program's name
    ///   - environment: environment variables; `TESSERA_STEPS=30` means `--steps 30` unless that flag is given
    ///   - file: the configuration file, which the environment overrides
    ///   - root: all commands
    /// - Throws: `InputError` if the variable of a Boolean flag is neither yes nor no
    package init(
        _ words: [String],
        environment: [String: String],
        file: ConfigFile = ConfigFile(),
        root: CommandDescription
    ) throws(InputError) {
        let (command, depth) = root.find(words)
        let (joined, given) = Self.joined(Array(words.dropFirst(depth)), of: command)
        let path = words.prefix(depth).joined(separator: " ")
        var defaults: [String] = []
        var variables: [String: String] = [:]
        var values: [String: [String]] = [:]
        // Help must not depend on the environment.
        let isHelp = Self.asksForHelp(joined)
        func entry(_ name: String) -> ConfigFile.Entry? {
            if isHelp { return nil }
            let variable = Self.variable(name)
            if Self.hasOwnMeaning(name, of: path) { return file.entry(name, only: path) }
            if let value = environment[variable], !value.isEmpty {
                return ConfigFile.Entry(values: [value], place: variable)
            }
            return file.entry(name, of: path)
        }
        func isSet(_ name: String) -> Bool { given.contains(name) || entry(name) != nil }
        let method = Self.method(in: joined) { entry($0)?.values.last }
        for argument in command.arguments ?? []
        where Self.takesDefaults(path) && Self.takesDefault(argument) {
            guard let name = argument.longName, !given.contains(name),
                !given.contains("no-\(name)"), let entry = entry(name)
            else { continue }
            if let needed = Self.companions[name],
                let other = command.arguments?.first(where: { $0.longName == needed }),
                other.defaultValue == nil, !isSet(needed)
            {
                continue
            }
            if let method, let only = Self.onlyMethod(name, entry.values.last),
                only.rawValue != method
            {
                continue
            }
            if given.contains(Preset.flag), Preset.settings.contains(where: { $0.name == name }) {
                continue
            }
            switch argument.kind {
            case .option: defaults += entry.values.map { "--\(name)=\($0)" }
            case .flag:
                if try Self.isYes(entry.values.last ?? "", entry.place) {
                    defaults.append("--\(name)")
                } else if InvertibleFlags.names.contains(name) {
                    defaults.append("--no-\(name)")
                }
            case .positional: break
            }
            variables["--\(name)"] = entry.place
            values[entry.place] = entry.values
        }
        // Defaults precede the given words: after a "--" nothing would be parsed as a flag.
        self.words = Array(words.prefix(depth)) + defaults + joined
        (self.variables, self.values) = (variables, values)
        defaultCount = defaults.count
    }

    /// The environment variable of a flag: `--min-workers` is `TESSERA_MIN_WORKERS`.
    package static func variable(_ name: String) -> String {
        "TESSERA_" + name.uppercased().replacing("-", with: "_")
    }

    /// Flags that have no meaning without another one: their defaults apply only if that one is given.
    private static let companions = [
        "only": "cluster", "min-workers": "cluster", "wait": "cluster",
        "strength": "init-image", "fidelity": "init-image", "max-init-pixels": "init-image",
        "image-guidance": "init-image", "mask": "init-image", "extend": "init-image",
    ]

    /// Whether a flag means something else for this command than for the others, so that their defaults must not apply:
    /// a service takes names of models, not files.
    private static func hasOwnMeaning(_ name: String, of command: String) -> Bool {
        ["submit", "watch", "fetch"].contains(command)
            && ["model", "lora", "output", "format", "wait"].contains(name)
    }

    /// The only method that a flag applies to: its default is ignored with the other method.
    private static func onlyMethod(_ name: String, _ value: String?) -> Method? {
        if name == Preset.flag { return value.flatMap(Preset.init)?.method }
        let settings = RenderSettings(
            size: Settings.size.defaultValue,
            scheduler: Settings.scheduler.defaultValue
        )
        return Settings.all.first { $0.name == name }?.onlyMethod(in: settings)
    }

    /// The method chosen by the words, or else by the defaults.
    ///
    /// - Parameters:
    ///   - joined: the words of the command line
    ///   - entry: looks up the default of a flag
    /// - Returns: nil if neither chooses a method
    private static func method(in joined: [String], _ entry: (String) -> String?) -> String? {
        func method(_ preset: String?) -> String? {
            preset.flatMap(Preset.init)?.method.rawValue
        }
        return value(of: Settings.method.name, in: joined)
            ?? method(value(of: Preset.flag, in: joined))
            ?? entry(Settings.method.name) ?? method(entry(Preset.flag))
    }

    /// The last value given for a flag.
    private static func value(of name: String, in joined: [String]) -> String? {
        let words = joined.prefix { $0 != "--" }
        guard let i = words.lastIndex(where: { $0 == "--\(name)" || $0.hasPrefix("--\(name)=") })
        else { return nil }
        guard words[i] == "--\(name)" else { return String(words[i].dropFirst(name.count + 3)) }
        return i + 1 < words.endIndex ? words[i + 1] : nil
    }

    /// Whether the words ask for help, which does not depend on defaults.
    static func asksForHelp(_ joined: [String]) -> Bool {
        joined.prefix { $0 != "--" }.contains {
            ["-h", "--help", "--help-hidden", "--version"].contains($0)
        }
    }

    /// Whether a command takes defaults: a resumed render keeps its own settings.
    static func takesDefaults(_ command: String) -> Bool { !["resume", "agent"].contains(command) }

    /// Whether a flag may have a default: --insecure must be explicit on the command line.
    static func takesDefault(_ argument: CommandDescription.Argument) -> Bool {
        !["help", "version", "insecure", "end-with-coordinator"].contains(argument.longName)
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

    /// Joins a value that starts with a dash to its option. If it is one of the command's own flags, the option's value
    /// is missing instead.
    ///
    /// - Returns: the words, and the long names of the given flags
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
                // The parser treats an empty value after "=" as missing.
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
    /// Adds the origin of a default, such as a variable, to an error about the flag or file that it set.
    package func naming(_ error: InputError) -> InputError {
        let place = naming(error.place)
        guard place == error.place else { return error.moved(to: place) }
        for (flag, variable) in variables.sorted(by: { $0.key < $1.key }) {
            for value in values[variable] ?? [] where value.count > 1 {
                // The weight of a LoRA follows its path.
                let path = flag == "--lora" ? String(value.prefix { $0 != ":" }) : value
                for file in [value, path] where place.hasPrefix(file) {
                    let next = place.dropFirst(file.count).first
                    guard next == nil || next.map({ "/:, ".contains($0) }) == true else { continue }
                    return error.moved(to: "\(place) (from \(variable))")
                }
            }
        }
        return error
    }

    /// The same for a line of text that starts with a flag.
    package func naming(_ text: String) -> String {
        guard text.hasPrefix("--") else { return text }
        let flag = String(text.prefix { $0 == "-" || $0.isLetter || $0.isNumber })
        guard let variable = variables[flag] else { return text }
        return "\(flag) (from \(variable))\(text.dropFirst(flag.count))"
    }
}
