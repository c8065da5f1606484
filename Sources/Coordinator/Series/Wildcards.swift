import Engine
import Foundation

/// Chooses among alternatives in prompts: `__colour__` stands for a line of `colour.txt`, `{a|b|c}` for one of its
/// parts. The seed decides, so that a picture's seed is enough to reproduce its prompt.
///
/// Used by one thread.
package final class Wildcards {
    private let folder: String
    private var files: [String: [String]] = [:]

    /// Maximum depth of wildcards inside wildcards.
    private static let maxDepth = 32
    private static let maxLength = PromptLimits.maxBytes
    /// Maximum work for one prompt: the characters that are read, plus a hundred for each replacement. Files that refer
    /// to each other twice could otherwise expand without limit.
    private static let maxWork = 5_000_000

    /// - Parameter folder: folder of the text files, with one alternative per line; blank lines and those that begin
    ///   with `#` are ignored
    /// - Throws: `InputError` if the folder does not exist
    package init(folder: String) throws(InputError) {
        guard FileKind(folder) == .folder else {
            throw InputError(
                "--wildcards \(folder)",
                "the folder does not exist",
                fix: "Name the folder of files such as colour.txt"
            )
        }
        self.folder = folder
    }

    /// Replaces the wildcards of a prompt.
    ///
    /// - Parameters:
    ///   - text: the prompt
    ///   - seed: the picture's seed
    ///   - flag: flag that the prompt came with; prompts of different flags choose independently
    /// - Returns: the prompt without wildcards
    /// - Throws: `InputError` for a file that is missing or empty, or refers to itself
    package func expand(_ text: String, seed: UInt64, flag: String) throws(InputError) -> String {
        var source = Choices(seed: seed, text: flag)
        return try expand(Array(text), &source, depth: 0, flag)
    }

    private func expand(
        _ text: [Character],
        _ source: inout Choices,
        depth: Int,
        _ flag: String
    ) throws(InputError) -> String {
        guard depth < Self.maxDepth else {
            throw InputError(
                flag,
                "its wildcards refer to each other without end",
                fix: "Check the files in \(folder)"
            )
        }
        source.work += 100 + text.count
        guard source.work <= Self.maxWork else {
            throw InputError(
                flag,
                "its wildcards lead to too many others",
                fix: "Check the files in \(folder)"
            )
        }
        var result = ""
        var at = 0
        let braces = Braces(text)
        while at < text.count {
            switch text[at] {
            case "\\" where at + 1 < text.count && "{}|".contains(text[at + 1]):
                result.append(text[at + 1])
                at += 2
            case "_":
                guard let (name, end) = Self.name(text, from: at) else {
                    result.append("_")
                    at += 1
                    continue
                }
                let lines = try lines(name, flag)
                let line = lines[source.next(lines.count)]
                result += try expand(Array(line), &source, depth: depth + 1, flag)
                at = end
            case "{":
                guard let (choices, end) = braces.choices(text, from: at) else {
                    result.append("{")
                    at += 1
                    continue
                }
                let choice = choices[source.next(choices.count)]
                result += try expand(Array(choice), &source, depth: depth + 1, flag)
                at = end
            default:
                result.append(text[at])
                at += 1
            }
            guard result.utf8.count <= Self.maxLength else {
                throw InputError(flag, "its wildcards make it too long", fix: "Use shorter ones")
            }
        }
        return result
    }

    /// The name of `__name__` and where it ends.
    private static func name(_ text: [Character], from start: Int) -> (String, Int)? {
        guard text[start...].starts(with: "__") else { return nil }
        var at = start + 2
        var name = ""
        while at < text.count {
            if text[at...].starts(with: "__"), !name.isEmpty { return (name, at + 2) }
            guard text[at].isLetter || text[at].isNumber || "_-/. ".contains(text[at]) else {
                return nil
            }
            name.append(text[at])
            at += 1
        }
        return nil
    }

    /// The alternatives of a file.
    private func lines(_ name: String, _ flag: String) throws(InputError) -> [String] {
        if let known = files[name] { return known }
        let path = "\(folder)/\(name).txt"
        guard !name.split(separator: "/").contains(".."), FileKind(path) == .regular else {
            throw InputError(
                "\(flag): __\(name)__",
                "there is no \(name).txt in \(folder)",
                fix: "Check the name and --wildcards"
            )
        }
        let lines = try InputFile.text(path, limit: 16 << 20)
            .split(whereSeparator: \.isNewline)
            .map { $0.trimmingCharacters(in: .whitespaces) }
            .filter { !$0.isEmpty && !$0.hasPrefix("#") }
        guard !lines.isEmpty else {
            throw InputError(path, "it has no lines to choose from", fix: "Write one a line")
        }
        files[name] = lines
        return lines
    }

    /// What `--wildcards` would replace in a prompt; nil for nothing.
    package static func hint(in text: String) -> String? {
        let text = Array(text)
        let braces = Braces(text)
        for at in text.indices {
            if text[at] == "_", let (name, _) = name(text, from: at) { return "__\(name)__" }
            if text[at] == "{", braces.choices(text, from: at) != nil { return "{a|b}" }
        }
        return nil
    }
}

/// Where the braces of a text close, and the bars between them, found in one pass.
private struct Braces {
    /// By position of the opening brace: the bars that no inner brace encloses, and the closing brace.
    private var found: [Int: (bars: [Int], close: Int)] = [:]

    init(_ text: [Character]) {
        var (open, at): ([(place: Int, bars: [Int])], Int) = ([], 0)
        while at < text.count {
            switch text[at] {
            case "\\": at += 1
            case "{": open.append((at, []))
            case "|": if !open.isEmpty { open[open.count - 1].bars.append(at) }
            case "}": if let last = open.popLast() { found[last.place] = (last.bars, at) }
            default: break
            }
            at += 1
        }
    }

    /// The parts of `{a|b}`, and where it ends; nil if the braces have no bar.
    func choices(_ text: [Character], from start: Int) -> ([ArraySlice<Character>], Int)? {
        guard let (bars, close) = found[start], !bars.isEmpty else { return nil }
        let ends = bars + [close]
        let starts = [start + 1] + bars.map { $0 + 1 }
        return (zip(starts, ends).map { text[$0..<$1] }, close + 1)
    }
}

/// A sequence of choices derived from a seed and a text: SplitMix64 (Steele, Lea and Flood, 2014).
private struct Choices {
    private var state: UInt64
    /// Work spent so far.
    var work = 0

    init(seed: UInt64, text: String) {
        // FNV-1a, so that the sequences of two texts differ.
        state = text.utf8.reduce(0xCBF2_9CE4_8422_2325 ^ seed) {
            ($0 ^ UInt64($1)) &* 0x0000_0100_0000_01B3
        }
    }

    /// A number below `count`.
    mutating func next(_ count: Int) -> Int {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        z ^= z >> 31
        return Int(z.multipliedFullWidth(by: UInt64(count)).high)
    }
}
