import Coordinator
import Engine

/// One line of `tessera cluster test`.
package struct ClusterCheck: Codable, Equatable, Sendable {
    package enum Topic: String, Codable, Sendable, CaseIterable {
        case reach, versions, keys, model, clock, disk, memory, link, speed, bytes
    }

    package enum Result: String, Codable, Sendable {
        case good = "ok"
        /// It works, but the user should know about it.
        case warning
        case failed
        case unknown
    }

    /// Name of the worker or host, or `coordinator`.
    package var subject: String
    package var topic: Topic
    package var result: Result
    /// What was found.
    package var detail: String
    /// How to fix it.
    package var remedy: String?

    package init(
        _ subject: String,
        _ topic: Topic,
        _ result: Result,
        _ detail: String,
        remedy: String? = nil
    ) {
        (self.subject, self.topic, self.result) = (subject, topic, result)
        (self.detail, self.remedy) = (detail, remedy)
    }

    enum CodingKeys: String, CodingKey {
        case subject = "host"
        case topic = "check"
        case result, detail, remedy
    }
}

/// The results of `tessera cluster test`.
package struct ClusterFindings: Encodable, Equatable, Sendable {
    package var checks: [ClusterCheck]
    package var failed: Int { checks.count { $0.result == .failed } }

    package init(checks: [ClusterCheck]) {
        self.checks = checks
    }

    enum CodingKeys: String, CodingKey {
        case checks, failed
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(checks, forKey: .checks)
        try container.encode(failed, forKey: .failed)
    }

    /// A table with columns as wide as necessary, and the remedy for each problem below its line.
    package var lines: [String] {
        let table = TextTable.lines(
            [["HOST", "CHECK", "RESULT", "FOUND"]]
                + checks.map { [$0.subject, $0.topic.rawValue, $0.result.rawValue, $0.detail] }
        )
        let rows = zip(checks, table.dropFirst()).flatMap { check, line in
            [line] + (check.remedy.map { ["    → \($0)"] } ?? [])
        }
        return table.prefix(1) + rows
    }

    /// The error if any check failed.
    package func problem(file: String) -> ClusterUnavailable? {
        guard failed > 0 else { return nil }
        let places = Set(checks.filter { $0.result == .failed }.map(\.subject)).sorted()
        return ClusterUnavailable(
            "\(file): \(failed) of \(checks.count) checks failed (\(places.joined(separator: ", "))). "
                + "The lines with an arrow say what to do"
        )
    }
}
