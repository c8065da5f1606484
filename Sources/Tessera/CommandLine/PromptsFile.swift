import Coordinator
import Engine
import Foundation

/// A file of prompts: each line is a prompt, or flags with our names or those of A1111's "prompts from file". Pure.
package struct PromptsFile: Equatable, Sendable {
    /// One line of the file.
    package struct Line: Equatable, Sendable {
        /// Our flags that the line translates to.
        package var words: [String]
        /// Whether the line sets its own seed; −1 draws a random one.
        package var hasSeed = false
        /// Number of pictures that the line asks for.
        package var times: Int?
        /// File and line, for error messages.
        package let place: String
    }

    package let lines: [Line]

    /// White space and the byte order mark.
    private static let blanks = CharacterSet.whitespaces.union(["\u{FEFF}"])

    /// - Parameters:
    ///   - text: contents of the file
    ///   - path: path of the file, for error messages
    ///   - command: the command whose flags a line may use
    /// - Throws: `InputError` naming file, line and flag, also for more lines than a series may have pictures
    package init(
        _ text: String,
        path: String,
        command: CommandDescription
    ) throws(InputError) {
        let flags = Dictionary(
            (command.arguments ?? []).compactMap { argument in
                argument.longName.map { ($0, argument) }
            }
        ) { first, _ in first }
        var lines: [Line] = []
        let all = text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline)
        for (index, line) in all.enumerated() {
            let line = line.trimmingCharacters(in: Self.blanks)
            guard !line.isEmpty, !line.hasPrefix("#") else { continue }
            guard lines.count < SeedList.limit else {
                throw InputError(
                    "\(path):\(index + 1)",
                    "there are more than \(SeedList.limit) pictures",
                    fix: "Ask for fewer at once"
                )
            }
            guard !line.utf8.contains(0) else {
                throw InputError("\(path):\(index + 1)", "it has a NUL character", fix: "Remove it")
            }
            var reader = PromptLineReader(place: "\(path):\(index + 1)", flags: flags)
            lines.append(try reader.read(line))
        }
        guard !lines.isEmpty else {
            throw InputError(path, "it contains no prompts", fix: "Write one a line")
        }
        self.lines = lines
    }
}

/// Parses one line.
private struct PromptLineReader {
    let place: String
    /// Our flags by name.
    let flags: [String: CommandDescription.Argument]
    private var sides: [String: String] = [:]
    private var times: [Int] = []

    init(place: String, flags: [String: CommandDescription.Argument]) {
        (self.place, self.flags) = (place, flags)
    }

    /// Groups of flags that a line may use, because they determine the picture; worker flags are the same for all
    /// pictures.
    private static let sections: Set<String> = [
        "Picture", "Model", "Sampling", "Start from a picture", "Large pictures",
    ]
    /// Other flags that a line may use.
    private static let others: Set<String> = ["output", "bit-depth"]
    /// Our flag for each of A1111's names that differ.
    private static let renamed = [
        "cfg_scale": "guidance", "sampler_name": "scheduler", "sampler": "scheduler",
    ]
    /// Options of A1111 that have no effect at these values; nil if no value has any.
    private static let idle: [String: String?] = [
        "restore_faces": "false", "tiling": "false", "do_not_save_samples": "false",
        "subseed_strength": "0", "do_not_save_grid": nil, "outpath_grids": nil,
        "prompt_for_display": nil,
    ]

    private func fault(_ flag: String, _ problem: String, _ fix: String) -> InputError {
        InputError("\(place), --\(flag)", problem, fix: fix)
    }

    private func isKnown(_ name: String) -> Bool {
        let own = (Self.renamed[name] ?? name).replacing("_", with: "-")
        return flags[own] != nil || Self.idle.keys.contains(name)
            || ["width", "height", "n_iter", "batch_size"].contains(name)
    }

    mutating func read(_ line: String) throws(InputError) -> PromptsFile.Line {
        guard line.hasPrefix("--") else {
            let names = line.split(whereSeparator: \.isWhitespace).filter { $0.hasPrefix("--") }
            if let flag = names.first(where: { isKnown(String($0.dropFirst(2))) }) {
                throw InputError(
                    "\(place), \(flag)",
                    "flags stand behind a prompt without --prompt",
                    fix: "Begin the line with --prompt \"…\""
                )
            }
            return PromptsFile.Line(words: ["--prompt=\(line)"], place: place)
        }
        guard let words = ShellWords.split(line) else {
            throw InputError(
                place,
                "a quotation mark is not closed",
                fix: "Close it, or write \\\""
            )
        }
        var result = PromptsFile.Line(words: [], place: place)
        var rest = words[...]
        while let word = rest.popFirst() {
            guard word.hasPrefix("--"), word.count > 2 else {
                throw InputError(
                    place,
                    "'\(word)' is not a flag",
                    fix: "Put values with spaces in quotes"
                )
            }
            let pair = word.dropFirst(2)
                .split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
                .map(String.init)
            try take(pair[0], pair.count > 1 ? pair[1] : nil, &rest, &result)
        }
        switch (sides["width"], sides["height"]) {
        case (let width?, let height?): result.words.append("--size=\(width)x\(height)")
        case (nil, nil): break
        default:
            throw InputError(
                place,
                "only one of --width and --height is given",
                fix: "Give both, or --size"
            )
        }
        if !times.isEmpty { result.times = times.reduce(1, *) }
        return result
    }

    /// Consumes a flag and its value.
    private mutating func take(
        _ given: String,
        _ inWord: String?,
        _ rest: inout ArraySlice<String>,
        _ line: inout PromptsFile.Line
    ) throws(InputError) {
        let name = (Self.renamed[given] ?? given).replacing("_", with: "-")
        let argument = flags[name]
        if argument?.kind == .flag {
            try checkAllowed(given, name)
            // A1111 writes true or false.
            let value =
                inWord
                ?? (["true", "false"].contains(rest.first?.lowercased()) ? rest.popFirst() : nil)
            if value?.lowercased() != "false" {
                line.words.append("--\(name)")
            } else if InvertibleFlags.names.contains(name) {
                line.words.append("--no-\(name)")
            }
            return
        }
        guard var value = inWord ?? rest.popFirst() else {
            throw fault(given, "its value is missing", "Add it")
        }
        guard inWord != nil || !value.hasPrefix("--") else {
            throw fault(given, "its value is missing before \(value)", "Add it")
        }
        switch given {
        case "width", "height":
            guard Int(value) != nil else {
                throw fault(given, "'\(value)' is not a number of pixels", "Give a whole number")
            }
            sides[given] = value
        case "n_iter", "batch_size":
            guard let count = Int(value), (1...10_000).contains(count) else {
                throw fault(given, "'\(value)' is not a number of pictures", "Give a whole number")
            }
            let all = times.reduce(count, *)
            guard all <= 10_000 else {
                throw fault(
                    given,
                    "the line asks for \(all) pictures",
                    "Ask for at most 10000"
                )
            }
            times.append(count)
        case _ where Self.idle.keys.contains(given):
            if let idle = Self.idle[given] ?? nil, value.lowercased() != idle {
                // Accepts 0, 0.0 and so on.
                guard let number = Double(value), number == Double(idle) else {
                    throw fault(given, "it is not supported", "Leave it out")
                }
            }
        default:
            guard argument != nil else {
                let known = flags.keys.filter { isAllowed($0) }
                let near = known.map { ($0, EditDistance.between($0, name)) }
                    .min { ($0.1, $0.0) < ($1.1, $1.0) }
                throw fault(
                    given,
                    "it is not a known flag",
                    near.map { $0.1 <= min(3, name.count / 3) ? "Use --\($0.0)" : nil }.flatMap(
                        \.self
                    )
                        ?? "Use the flags of tessera render, or prompt, negative_prompt, seed, steps, cfg_scale, "
                        + "width, height, sampler_name, n_iter, batch_size"
                )
            }
            try checkAllowed(given, name)
            if inWord == nil, ["prompt", "negative-prompt"].contains(name) {
                // A1111 reads all words up to the next flag.
                while let next = rest.first, !next.hasPrefix("--") {
                    value += " " + next
                    rest.removeFirst()
                }
            }
            line.hasSeed = line.hasSeed || name == "seed"
            line.words.append("--\(name)=\(value)")
        }
    }

    private func isAllowed(_ name: String) -> Bool {
        Self.others.contains(name)
            || flags[name]?.sectionTitle.map { Self.sections.contains($0) } == true
    }

    private func checkAllowed(_ given: String, _ name: String) throws(InputError) {
        guard isAllowed(name) else {
            throw fault(
                given,
                "it is the same for all pictures of the file",
                "Give it to the command instead"
            )
        }
    }
}
