import Coordinator
import Engine

/// Finds out why hosts do not take part in a render. Takes the agents' reports and the coordinator's view, and returns
/// human-readable lines, each once.
package struct HostWatch {
    /// The coordinator's view of workers, by name.
    package struct View {
        /// Names of connected workers.
        package var joined: Set<String>
        package var refused: [String: RefusedWorker]
        /// Time since the hosts were called.
        package var elapsed: Duration

        package init(
            joined: Set<String> = [],
            refused: [String: RefusedWorker] = [:],
            elapsed: Duration = .zero
        ) {
            (self.joined, self.refused, self.elapsed) = (joined, refused, elapsed)
        }
    }

    /// A human-readable line, and the worker that it is about.
    package struct Warning: Equatable {
        package let worker: String
        package let line: String
        /// Whether the worker's process is running but is not connected or not working.
        package var isMissing = false
    }

    /// How long a worker may take to join before it is reported: one that complains, and one that is silent, perhaps
    /// because it is loading its model.
    private static let patience: (complaining: Duration, quiet: Duration) = (
        .seconds(8), .seconds(90)
    )

    private var told: Set<String> = []

    package init() {}

    /// Warnings that are new since the last call.
    package mutating func warnings(_ reports: [HostReport], _ view: View) -> [Warning] {
        var found: [Warning] = []
        for report in reports where report.failure == nil {
            for name in report.expected {
                guard let (kind, line) = trouble(of: name, report, view) else { continue }
                // A worker that restarts repeatedly is reported each time.
                let topic = kind == .returning ? line : "\(name) \(kind)"
                if told.insert(topic).inserted {
                    found.append(
                        Warning(
                            worker: name,
                            line: "host \(report.host): \(line)",
                            isMissing: kind == .absent || kind == .stopped
                        )
                    )
                }
            }
        }
        return found
    }

    private enum Kind {
        case gone
        case returning
        case ended
        case stopped
        case absent
    }

    private func trouble(
        of name: String,
        _ report: HostReport,
        _ view: View
    ) -> (Kind, String)? {
        if let account = report.returning[name] { return (.returning, "worker \(account)") }
        // A refusal was already reported in full when it happened.
        if let account = report.ended[name] {
            return view.refused[name] == nil ? (.ended, "worker \(account)") : nil
        }
        let state = report.states[name]
        if state?.isAlive == false {
            return (
                .gone,
                "worker \(name) was gone, and another is started for this render; tessera cluster up starts one "
                    + "that stays"
            )
        }
        if state?.isStopped == true {
            let process = report.process(of: name).map { "\($0.id)" } ?? "PID"
            return (.stopped, "worker \(name) is stopped: kill -CONT \(process) there resumes it")
        }
        guard !view.joined.contains(name), view.refused[name] == nil, report.isDone else {
            return nil
        }
        let words = Self.complaint(of: name, report)
        let patience = words == nil ? Self.patience.quiet : Self.patience.complaining
        guard view.elapsed >= patience else { return nil }
        return (
            .absent,
            "worker \(name) runs but has not joined: "
                + (words
                    ?? "it does not say why; look at its log, and whether it reaches the coordinator")
        )
    }

    /// The last message of a worker, unless it is only informative.
    static func complaint(of name: String, _ report: HostReport) -> String? {
        guard let line = report.said[name] ?? report.states[name]?.text else { return nil }
        for level in ["warning: ", "error: ", "notice: ", "tessera: "]
        where line.hasPrefix(level) {
            return String(line.dropFirst(level.count))
        }
        return nil
    }

    /// Summarises which hosts took part in a render, and why others did not.
    ///
    /// - Parameters:
    ///   - reports: reports of all hosts
    ///   - view: the coordinator's view at the end of the render
    ///   - working: names of the workers that have computed something
    /// - Returns: a line of text; workers that belong to none of these hosts, such as machines that joined, are only
    ///   counted
    package static func summary(
        _ reports: [HostReport],
        _ view: View,
        working: Set<String>
    ) -> String {
        let idle = reports.filter { working.isDisjoint(with: $0.expected) }
        let reasons = idle.map { "\($0.host) did not (\(reason($0, view).withoutFullStop))" }
        let others = reports.reduce(working) { $0.subtracting($1.expected) }.count
        if reports.isEmpty { return "\(others) \(others == 1 ? "worker" : "workers") took part" }
        return "\(reports.count - idle.count) of \(reports.count) "
            + (reports.count == 1 ? "host" : "hosts")
            + (others == 0 ? "" : " and \(others) other \(others == 1 ? "worker" : "workers")")
            + " took part"
            + (reasons.isEmpty ? "" : ": \(reasons.joined(separator: ", "))")
    }

    private static func reason(_ report: HostReport, _ view: View) -> String {
        if let failure = report.failure { return failure }
        for name in report.expected {
            if let account = report.ended[name] { return account }
            if report.states[name]?.isStopped == true { return "\(name) is stopped" }
            if let refused = view.refused[name] {
                return refused.isChanging ? "\(name) is changing its model" : refused.reason
            }
        }
        if !view.joined.isDisjoint(with: report.expected) {
            return "it joined, and answered nothing before the render was done"
        }
        let words = report.expected.lazy.compactMap { complaint(of: $0, report) }.first
        return "it did not join in time" + (words.map { ": \($0)" } ?? "")
    }
}
