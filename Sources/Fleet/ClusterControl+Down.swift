import Coordinator
import Engine

extension ClusterControl {
    /// Ends the workers that `up` left running, and nothing else.
    ///
    /// - Returns: the hosts
    /// - Throws: `ClusterUnavailable` if some may still be running; these remain recorded
    package func down() throws -> [String] {
        let hold = try folder.take()
        defer { withExtendedLifetime(hold) { folder.tidy() } }
        guard var record = try folder.record() else {
            return ["nothing runs that was started with \(plan.path)"]
        }
        let before = record
        let fleet = try ask(record, .stop)
        defer { fleet.stop(dismissed: true) }
        let patience = timeouts.start + timeouts.stop + .seconds(10)
        _ = fleet.wait(until: .now + patience) { reports in
            reports.allSatisfy { $0.isDone || $0.failure != nil || $0.isOver }
        }
        var lines: [String] = []
        var left: [String] = []
        for (report, host) in zip(fleet.reports, before.hosts) {
            let gone = report.states.filter { !$0.value.isAlive }
            record.remove(Array(gone.keys), of: report.host)
            var counts: [String: Int] = [:]
            for state in gone.values { counts[state.text ?? "", default: 0] += 1 }
            let words = [("ended", "ended"), ("killed", "killed"), ("wasGone", "gone already")]
                .compactMap { key, word in counts[key].map { "\($0) \(word)" } }
            if !words.isEmpty { lines.append("\(report.host): \(words.joined(separator: ", "))") }
            if gone.count < host.workers.count {
                let reason = report.failure ?? "\(host.workers.count - gone.count) stay"
                left.append("\(report.host): \(reason.withoutFullStop)")
            }
        }
        try folder.save(record)
        guard left.isEmpty else {
            for line in lines { onProgress(line) }
            throw ClusterUnavailable(
                "\(plan.path): not all workers could be ended: \(left.joined(separator: "; ")). "
                    + "They stay recorded: call tessera cluster down again when the host answers"
            )
        }
        return lines
    }
}
