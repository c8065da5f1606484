import Coordinator
import Engine
import Foundation

/// The pictures that a command asks for: one, or a series.
struct PictureList<Command: PictureCommand> {
    /// What the pictures of one prompt share: the flags of the command and of one line of the prompts file.
    private struct Line {
        let command: Command
        let words: [String]
        /// File and line; nil without a prompts file.
        let place: String?
    }

    /// Parses lines of a prompts file. The argument parser takes milliseconds, so lines that differ only in prompts and
    /// seeds are parsed once.
    private struct LineReader {
        let common: [String]
        private var known: [[String]: Command] = [:]

        init(common: [String]) { self.common = common }

        /// - Throws: `InputError` with file and line
        mutating func read(_ line: PromptsFile.Line) throws(InputError) -> Command {
            var rest: [String] = []
            var own = [(name: Substring, value: String)]()
            for word in line.words {
                let pair = word.split(
                    separator: "=",
                    maxSplits: 1,
                    omittingEmptySubsequences: false
                )
                if pair.count == 2, Self.isOwn(pair[0], String(pair[1])) {
                    own.append((pair[0], String(pair[1])))
                } else {
                    rest.append(word)
                }
            }
            var command: Command
            if let known = known[rest] {
                command = known
            } else {
                command = try Command.read(common + rest, place: line.place)
                known[rest] = command
            }
            for (name, value) in own { Self.set(name, value, &command.picture.subject) }
            return command
        }

        private static func isOwn(_ name: Substring, _ value: String) -> Bool {
            switch name {
            case "--prompt", "--negative-prompt", "--prompt-2", "--negative-prompt-2": true
            case "--seed": Seed(argument: value) != nil
            default: false
            }
        }

        private static func set(_ name: Substring, _ value: String, _ subject: inout SubjectFlags) {
            switch name {
            case "--prompt": subject.prompt = value
            case "--negative-prompt": subject.negativePrompt = value
            case "--prompt-2": subject.prompt2 = value
            case "--negative-prompt-2": subject.negativePrompt2 = value
            default: subject.seed = Seed(argument: value) ?? subject.seed
            }
        }
    }

    private struct Entry {
        let line: Int
        let seed: UInt64
        /// Prompts with wildcards replaced; nil if there are no wildcards.
        let prompts: Prompts?
    }

    private struct Prompts {
        let prompt: String
        let others: [String?]
    }

    /// The words of the whole command line; flags that repeat a picture are replaced by its settings.
    let words: [String]
    /// Whether a series was requested, even one of a single picture.
    let isSeries: Bool
    /// When the command was first started.
    let start: Date
    /// What cannot be reproduced of a repeated picture, one line each.
    let warnings: [String]
    /// Suggestions of the models' own files, for all pictures.
    let suggestions: SuggestionMemory
    /// The seed, if it was drawn at random; nil otherwise.
    let chosenSeed: UInt64?
    /// Input files, which output must not overwrite.
    private let sources: [(role: String, path: String)]
    private var lines: [Line] = []
    private var entries: [Entry] = []

    var count: Int { entries.count }

    /// - Parameters:
    ///   - defaults: words that come from the environment or the configuration file
    ///   - given: words given on the command line
    ///   - place: where the words came from, for error messages
    ///   - start: when the command was first started; nil unless it is resumed
    ///   - suggestions: the suggestions it was started with, if it is resumed
    /// - Throws: `InputError` naming the flag, or file and line
    init(
        defaults: [String],
        given: [String],
        place: String = "command line",
        start: Date? = nil,
        suggestions: SuggestionMemory = SuggestionMemory()
    ) throws {
        self.start = start ?? Date()
        self.suggestions = suggestions
        let description = Command.description
        var words = defaults + given
        var base = try Command.read(words, place: place)
        var names = FlagWords(given, of: description).names
        // A preset overrides the repeated picture's settings that it determines.
        if names.contains(Preset.flag) { names.formUnion(Preset.settings.map(\.name)) }
        sources = [
            ("the picture that is repeated", base.picture.repeating.fromPNG),
            ("the file of prompts", base.picture.series.prompts),
        ].compactMap { role, path in path.map { (role, $0) } }
        if let path = base.picture.repeating.fromPNG {
            let recipe = try base.picture.repeating.recipe(
                of: path,
                given: names,
                base.picture,
                format: base.outputs.resolvedFormat
            )
            // The picture overrides the environment, and the command line overrides the picture.
            let settings = FlagWords(recipe.arguments, of: description).names
            words =
                FlagWords(defaults, of: description).removing(
                    settings.union(recipe.replaced).union([Preset.flag])
                )
                + recipe.arguments
                + FlagWords(given, of: description).removing([RepeatFlags.name])
            base = try Command.read(words, place: path)
            warnings = recipe.warnings
        } else {
            warnings = []
        }
        let seed = base.picture.subject.seed
        chosenSeed = seed.isChosen ? seed.value : nil
        if seed.isChosen {
            words.append("--seed=\(seed.value)")
            base = try Command.read(words, place: place)
        }
        self.words = words
        let series = base.picture.series
        // A resumed command's words also include those from the environment and from a repeated picture.
        if start == nil { try series.check(given: names) }
        isSeries = series.count != nil || series.seeds != nil || series.prompts != nil
        if isSeries { try base.outputs.checkSeries() }
        let common = FlagWords(words, of: description).removing(SeriesFlags.names)
        let wildcards = try series.wildcards.map { folder throws(InputError) in
            try Wildcards(folder: folder)
        }
        var parsed = [PromptsFile.Line(words: [], place: "")]
        if let file = series.prompts {
            parsed = try PromptsFile(InputFile.text(file), path: file, command: description).lines
        }
        if series.prompts != nil { try Self.checkCount(parsed, series) }
        var reader = LineReader(common: common)
        for line in parsed {
            let command = line.words.isEmpty ? base : try reader.read(line)
            let own = command.picture.subject.seed.value
            let seeds = try Self.located(line.place) { () throws(InputError) in
                if isSeries { try command.outputs.checkSeries() }
                return try series.seeds(
                    own: line.hasSeed ? own : nil,
                    first: base.picture.subject.seed.value,
                    times: line.times
                )
            }
            for seed in seeds {
                let prompts = try wildcards.map { wildcards in
                    try Self.located(line.place) { () throws(InputError) in
                        try Self.expanded(command.picture.subject, wildcards, seed)
                    }
                }
                entries.append(Entry(line: lines.count, seed: seed, prompts: prompts))
            }
            lines.append(
                Line(
                    command: command,
                    words: common + line.words,
                    place: line.place.isEmpty ? nil : line.place
                )
            )
        }
    }

    /// Rejects more pictures than a series may have before the lines are parsed one by one.
    private static func checkCount(
        _ lines: [PromptsFile.Line],
        _ series: SeriesFlags
    ) throws(InputError) {
        let seeds = try series.seeds.map { text throws(InputError) in
            try SeedList.read(text).count
        }
        let most = SeedList.limit + 1
        let count = lines.reduce(0) { sum, line in
            let times = min(most, max(0, line.times ?? series.count ?? 1))
            return min(most, sum + (line.hasSeed ? times : seeds ?? times))
        }
        guard count <= SeedList.limit else {
            throw InputError(
                series.prompts ?? "--prompts",
                "there are more than \(SeedList.limit) pictures",
                fix: "Ask for fewer at once"
            )
        }
    }

    private static func expanded(
        _ subject: SubjectFlags,
        _ wildcards: Wildcards,
        _ seed: UInt64
    ) throws(InputError) -> Prompts {
        func expand(_ text: String?, _ flag: String) throws(InputError) -> String? {
            guard let text else { return nil }
            return try wildcards.expand(text, seed: seed, flag: flag)
        }
        return Prompts(
            prompt: try wildcards.expand(subject.prompt, seed: seed, flag: "--prompt"),
            others: [
                try expand(subject.negativePrompt, "--negative-prompt"),
                try expand(subject.prompt2, "--prompt-2"),
                try expand(subject.negativePrompt2, "--negative-prompt-2"),
            ]
        )
    }

    /// Adds file and line to an error.
    private static func located<Result>(
        _ place: String?,
        _ body: () throws(InputError) -> Result
    ) throws(InputError) -> Result {
        do throws(InputError) {
            return try body()
        } catch {
            guard let place, !place.isEmpty else { throw error }
            throw InputError("\(place), \(error.place)", error.problem, fix: error.remedy)
        }
    }

    /// The command that renders one picture.
    ///
    /// - Parameter index: index of the picture, from 0
    /// - Returns: the command with the picture's own seed and prompts
    func command(_ index: Int) -> Command {
        let entry = entries[index]
        var command = lines[entry.line].command
        if isSeries { command.picture.subject.seed = Seed(value: entry.seed) }
        if let prompts = entry.prompts {
            command.picture.subject.prompt = prompts.prompt
            command.picture.subject.negativePrompt = prompts.others[0]
            command.picture.subject.prompt2 = prompts.others[1]
            command.picture.subject.negativePrompt2 = prompts.others[2]
        }
        return command
    }

    /// The words of a command that renders only this picture.
    func arguments(_ index: Int) -> [String] {
        let entry = entries[index]
        var words = lines[entry.line].words
        if isSeries { words.append("--seed=\(entry.seed)") }
        if let prompts = entry.prompts {
            words.append("--prompt=\(prompts.prompt)")
            let flags = ["negative-prompt", "prompt-2", "negative-prompt-2"]
            words += zip(flags, prompts.others).compactMap { flag, text in
                text.map { "--\(flag)=\($0)" }
            }
        }
        return words
    }

    func seed(_ index: Int) -> UInt64 { entries[index].seed }

    /// Runs of pictures that differ only in their seeds: the index of the first, and their number.
    var groups: [(first: Int, count: Int)] {
        var groups: [(first: Int, count: Int)] = []
        for (index, entry) in entries.enumerated() {
            if let last = groups.last, entry.prompts == nil, entries[last.first].line == entry.line
            {
                groups[groups.count - 1].count += 1
            } else {
                groups.append((index, 1))
            }
        }
        return groups
    }

    /// A picture's number and seed, for messages.
    func title(_ index: Int) -> String {
        "picture \(index + 1) of \(count) (seed \(entries[index].seed))"
    }

    /// The render of one picture, with its output path filled in.
    ///
    /// - Parameters:
    ///   - index: index of the picture, from 0
    ///   - command: the command of this picture
    /// - Returns: the render, not yet saved
    /// - Throws: `InputError` naming the flag, or file and line
    func rendering(_ index: Int, _ command: Command) throws -> Rendering {
        try located(index) {
            var rendering = try command.rendering()
            rendering.options.suggestions = suggestions
            rendering.outputs.kept = sources
            let template = try NameTemplate(rendering.outputs.picture)
            guard template.hasFields || isSeries else {
                rendering.outputs.picture = template.path([:])
                return rendering
            }
            // A name that the user did not write must never replace a file.
            rendering.outputs.isNumbered = true
            guard template.hasFields else { return rendering }
            let session = try RenderSession(rendering.options)
            let fields = NameFields(
                index: index + 1,
                count: count,
                start: start,
                prompt: rendering.options.prompt,
                model: session.model.path,
                settings: session.plan.settings
            )
            rendering.outputs.picture = template.path(fields.values)
            rendering.outputs.fixedFolder = template.fixedFolder
            return rendering
        }
    }

    /// Maximum number of groups that are checked before the first picture is rendered.
    private static var maxChecked: Int { 1000 }

    /// Plans the pictures before the first is rendered; those that differ only in their seeds are planned once.
    ///
    /// - Parameters:
    ///   - control: cancels the check
    ///   - observe: called with notices during the check
    /// - Throws: `InputError` naming the flag, or file and line, `RenderCancelled`
    func check(control: RenderControl, observe: Rendering.Observer) throws {
        for (place, group) in groups.prefix(Self.maxChecked).enumerated() {
            if control.cancellation.isCancelled { throw RenderCancelled() }
            let rendering = try rendering(group.first, command(group.first))
            try located(group.first) {
                guard !rendering.options.prompt.isEmpty else {
                    throw InputError("--prompt", "it is missing", fix: "Describe the picture")
                }
                guard place > 0 else {
                    // The first one also checks the weights and the init image.
                    _ = try rendering.session(control: control, observe: observe)
                    return
                }
                try rendering.outputs.validate()
                _ = try RenderSession(rendering.options)
            }
        }
    }

    /// Adds the picture's file and line to an error.
    func located<Result>(_ index: Int, _ body: () throws -> Result) throws -> Result {
        do {
            return try body()
        } catch let error as InputError {
            guard let place = lines[entries[index].line].place else { throw error }
            throw InputError("\(place), \(error.place)", error.problem, fix: error.remedy)
        }
    }
}
