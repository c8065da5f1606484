import Coordinator
import Protocol

/// Workers that are of no host of the cluster file: machines that joined by invitation, and workers that somebody started.
/// Pure.
package struct OtherWorkers {
    package var members: [Member]
    /// When a coordinator heard of keys last, in seconds since 1970.
    package var lastSeen: [String: Double]
    /// What the coordinator that runs knows; nil if none runs.
    package var snapshot: ClusterFolder.Snapshot?
    /// Whether a relay listens in place of a coordinator: of its workers it is known only when they were heard.
    package var hasRelay: Bool

    /// A relay notes every five seconds when workers were heard.
    private static let relayPatience = 15.0

    package init(
        members: [Member],
        lastSeen: [String: Double],
        snapshot: ClusterFolder.Snapshot?,
        hasRelay: Bool = false
    ) {
        (self.members, self.lastSeen, self.snapshot) = (members, lastSeen, snapshot)
        self.hasRelay = hasRelay
    }

    /// A row for each of them.
    ///
    /// - Parameters:
    ///   - hosts: names in the file
    ///   - now: seconds since 1970
    /// - Returns: the rows, by name
    package func rows(besides hosts: [String], now: Double) -> [ClusterTable.Row] {
        let workers = workers(besides: hosts)
        let names = Set(workers.map(\.name)).union(members.map(\.name)).sorted()
        return names.map { name in
            let own = workers.filter { $0.name == name }
            let key = members.first { $0.name == name }?.key.text
            let age = key.flatMap { lastSeen[$0] }.map { max(0, now - $0) }
            let isHere =
                own.contains(where: \.isActive)
                || hasRelay && age.map { $0 < Self.relayPatience } ?? false
            let relayed = workers.count { $0.isActive && $0.name.hasPrefix("\(name)/") }
            let state =
                isHere
                ? ClusterControl.connectedState(snapshot?.isRendering == true)
                : relayed > 0 ? "relay" : "away"
            let count = isHere ? "1/1" : relayed > 0 ? "\(relayed)/\(relayed)" : "0/1"
            var row = ClusterTable.Row(host: name, state: state, workers: count)
            row.lastSeen = age
            row.add(own, now: now)
            return row
        }
    }

    /// What is to be said of them below the table.
    func notes(besides hosts: [String]) -> [String] {
        workers(besides: hosts).compactMap(ClusterTop.trouble)
    }

    /// Those that are connected, and machines that joined.
    private func workers(besides hosts: [String]) -> [ClusterFolder.Snapshot.Worker] {
        (snapshot?.workers ?? []).filter { worker in
            let isListed = hosts.contains { ClusterControl.belongs(worker.name, to: $0) }
            return !isListed
                && (worker.isActive || members.contains { $0.name == worker.name })
        }
    }
}

extension ClusterFolder.Snapshot {
    /// Whether there is work: units wait, or were answered in the last seconds.
    var isRendering: Bool {
        (unitsLeft ?? 1) > 0 || workers.contains { $0.isActive && ($0.more?.rate ?? 0) > 0 }
    }
}
