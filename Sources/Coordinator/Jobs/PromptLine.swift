import Engine
import Sampling

/// One line of a file of prompts: a prompt, or flags as in A1111's "prompts from file":
/// `--prompt "a lake" --seed 5 --steps 20`.
package struct PromptLine: Equatable, Sendable {
    package var prompt = ""
    package var negativePrompt: String?
    package var seed: UInt64?
    /// Values of other settings by name.
    package var overrides: [String: JSON] = [:]

    package init(prompt: String, negativePrompt: String? = nil) {
        (self.prompt, self.negativePrompt) = (prompt, negativePrompt)
    }

    /// Settings that a line may override, by A1111's names and by ours.
    private static let settings: [String: any AnySetting] = [
        "steps": Settings.steps, "cfg_scale": Settings.guidance, "guidance": Settings.guidance,
        "scheduler": Settings.scheduler, "sampler_name": Settings.scheduler,
        "size": Settings.size,
    ]

    /// Reads a file of prompts: one a line; empty lines and those that begin with `#` are ignored.
    ///
    /// - Parameters:
    ///   - text: of the file
    ///   - place: its path, for errors
    /// - Returns: the lines
    /// - Throws: `InputError` naming file, line and flag
    package static func all(_ text: String, place: String) throws(InputError) -> [PromptLine] {
        var lines: [PromptLine] = []
        for (index, line) in text.split(
            omittingEmptySubsequences: false,
            whereSeparator: \.isNewline
        ).enumerated() {
            let line = line.trimmingCharacters(in: .whitespaces)
            guard !line.isEmpty, !line.hasPrefix("#") else { continue }
            guard line.hasPrefix("--") else {
                lines.append(PromptLine(prompt: line))
                continue
            }
            lines.append(try PromptLine(flags: line, place: "\(place):\(index + 1)"))
        }
        guard !lines.isEmpty else {
            throw InputError(place, "there is no prompt in it", fix: "Write one a line")
        }
        return lines
    }

    private init(flags line: String, place: String) throws(InputError) {
        func fault(_ flag: String, _ problem: String, _ fix: String) -> InputError {
            InputError("\(place), --\(flag)", problem, fix: fix)
        }
        guard let words = ShellWords.split(line) else {
            throw InputError(place, "a quotation mark is missing", fix: "Close it")
        }
        var sides: [String: Int] = [:]
        var rest = words[...]
        while let word = rest.popFirst() {
            guard word.hasPrefix("--") else {
                throw InputError(place, "'\(word)' is not a flag", fix: "Put the prompt in quotes")
            }
            let flag = String(word.dropFirst(2))
            guard let value = rest.popFirst() else { throw fault(flag, "its value is missing", "Add it") }
            switch flag {
            case "prompt": prompt = value
            case "negative_prompt", "negative-prompt": negativePrompt = value
            case "seed":
                guard let seed = UInt64(value) else {
                    throw fault(flag, "'\(value)' is not a seed", "Give a whole number from 0 up")
                }
                self.seed = seed
            case "width", "height":
                guard let side = Int(value) else {
                    throw fault(flag, "'\(value)' is not a number", "Give pixels")
                }
                sides[flag] = side
            default:
                guard let setting = Self.settings[flag] else {
                    throw fault(
                        flag,
                        "it is not supported here",
                        "Use prompt, negative_prompt, seed, width, height, "
                            + Self.settings.keys.sorted().joined(separator: ", ")
                    )
                }
                let json = Double(value).map(JSON.number) ?? .string(value)
                var probe = SettingChoices()
                do throws(InputError) {
                    try setting.read(json, into: &probe)
                } catch {
                    throw fault(flag, "'\(value)' cannot be read", error.remedy)
                }
                overrides[setting.name] = json
            }
        }
        if let width = sides["width"], let height = sides["height"] {
            overrides["size"] = .string("\(width)x\(height)")
        } else if !sides.isEmpty {
            throw InputError(place, "only one of --width and --height is given", fix: "Give both")
        }
    }
}
