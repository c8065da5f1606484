import Engine
import Foundation

/// The seeds of a series of pictures. Pure.
package enum SeedList {
    /// Maximum number of pictures per command.
    package static let limit = 10_000

    /// Consecutive seeds.
    ///
    /// - Throws: `InputError` for no or too many pictures, or if they go beyond the largest seed
    package static func consecutive(
        from first: UInt64,
        count: Int
    ) throws(InputError) -> [UInt64] {
        guard (1...limit).contains(count) else {
            throw InputError("--count", "\(count) is out of range", fix: "Choose 1 to \(limit)")
        }
        guard !first.addingReportingOverflow(UInt64(count - 1)).overflow else {
            throw InputError(
                "--seed",
                "\(count) seeds from \(first) on pass the largest",
                fix: "Choose a smaller one"
            )
        }
        return (0..<UInt64(count)).map { first + $0 }
    }

    /// Reads seeds such as `1,5,10-19`.
    ///
    /// - Throws: `InputError` naming the part that is not a seed
    package static func read(_ text: String) throws(InputError) -> [UInt64] {
        var seeds: [UInt64] = []
        for part in text.split(separator: ",", omittingEmptySubsequences: false) {
            let ends = part.split(separator: "-", omittingEmptySubsequences: false)
                .map { UInt64($0.trimmingCharacters(in: .whitespaces)) }
            guard (1...2).contains(ends.count), let first = ends[0],
                let last = ends[ends.count - 1],
                first <= last
            else {
                throw InputError(
                    "--seeds \(text)",
                    "'\(part)' is neither a seed nor a range of seeds",
                    fix: "Write them as 1,5,10-19"
                )
            }
            guard last - first < UInt64(limit), seeds.count + Int(last - first) < limit else {
                throw InputError(
                    "--seeds \(text)",
                    "there are more than \(limit)",
                    fix: "Choose fewer"
                )
            }
            seeds += Array(first...last)
        }
        return seeds
    }
}
