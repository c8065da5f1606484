import Engine
import Foundation
import Sampling

/// Several pictures from one command: each line of a file of prompts with each seed. Pure.
package struct PictureSeries: Equatable, Sendable {
    /// One picture of a series.
    package struct Entry: Equatable, Sendable {
        package var prompt: String
        package var negativePrompt: String?
        package var seed: UInt64
        /// Settings that a line of the file of prompts overrides, by name.
        package var overrides: [String: JSON] = [:]
    }

    package let entries: [Entry]

    /// Pictures of one command at most.
    package static let limit = 10_000

    /// Every prompt with every seed, prompt by prompt; a line that names its own seed is rendered once.
    ///
    /// - Parameters:
    ///   - prompts: lines of a file of prompts
    ///   - seeds: of each prompt
    /// - Throws: `InputError` when there are none, or too many
    package init(prompts: [PromptLine], seeds: [UInt64]) throws(InputError) {
        let count = prompts.reduce(0) { $0 + ($1.seed == nil ? seeds.count : 1) }
        guard (1...Self.limit).contains(count) else {
            throw InputError(
                "--count",
                count == 0 ? "there is nothing to render" : "\(count) pictures are too many",
                fix: "Ask for 1 to \(Self.limit)"
            )
        }
        entries = prompts.flatMap { line in
            (line.seed.map { [$0] } ?? seeds).map { seed in
                Entry(
                    prompt: line.prompt,
                    negativePrompt: line.negativePrompt,
                    seed: seed,
                    overrides: line.overrides
                )
            }
        }
    }

    /// Consecutive seeds.
    ///
    /// - Throws: `InputError` when there are no or too many, or they pass the largest seed
    package static func seeds(from first: UInt64, count: Int) throws(InputError) -> [UInt64] {
        guard (1...limit).contains(count) else {
            throw InputError("--count", "\(count) is out of range", fix: "Choose 1 to \(limit)")
        }
        guard !first.addingReportingOverflow(UInt64(count - 1)).overflow else {
            throw InputError("--seed", "\(first) leaves no room for \(count)", fix: "Choose a smaller one")
        }
        return (0..<UInt64(count)).map { first + $0 }
    }

    /// Reads seeds such as `1,5,10-19`.
    ///
    /// - Throws: `InputError` naming the part that is none
    package static func seeds(_ text: String) throws(InputError) -> [UInt64] {
        var seeds: [UInt64] = []
        for part in text.split(separator: ",", omittingEmptySubsequences: false) {
            let ends = part.split(separator: "-", omittingEmptySubsequences: false)
                .map { UInt64($0.trimmingCharacters(in: .whitespaces)) }
            guard (1...2).contains(ends.count), let first = ends[0], let last = ends[ends.count - 1],
                first <= last
            else {
                throw InputError(
                    "--seeds",
                    "'\(part)' is neither a seed nor a range of seeds",
                    fix: "Write them as 1,5,10-19"
                )
            }
            guard last - first < UInt64(limit), seeds.count + Int(last - first) < limit else {
                throw InputError("--seeds", "there are too many", fix: "Ask for at most \(limit)")
            }
            seeds += Array(first...last)
        }
        return seeds
    }
}

/// A name with `{seed}`, `{prompt}`, `{number}` and `{date}` in it.
package struct NameTemplate: Sendable {
    private let text: String
    private static let longestPrompt = 60

    package init(_ text: String) { self.text = text }

    /// The file's name for one picture.
    ///
    /// - Parameters:
    ///   - entry: of the series
    ///   - number: counted from 1
    ///   - date: when the command began
    /// - Returns: a path; a prompt in it is letters, digits and dashes, cut after 60 characters
    package func name(of entry: PictureSeries.Entry, number: Int, date: Date) -> String {
        let format = DateFormatter()
        format.locale = Locale(identifier: "en_US_POSIX")
        format.dateFormat = "yyyyMMdd-HHmmss"
        let fields = [
            "seed": "\(entry.seed)", "prompt": Self.slug(entry.prompt), "number": "\(number)",
            "date": format.string(from: date),
        ]
        // One pass: what a prompt contains is not expanded again.
        return text.replacing(/\{(seed|prompt|number|date)\}/) { match in
            fields[String(match.1)] ?? ""
        }
    }

    private static func slug(_ prompt: String) -> String {
        let words = prompt.split { !$0.isLetter && !$0.isNumber }
        let slug = words.joined(separator: "-").prefix(longestPrompt)
        return slug.isEmpty ? "picture" : String(slug)
    }
}
