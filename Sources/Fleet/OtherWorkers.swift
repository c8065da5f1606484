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
    /// Keys of the machines that are connected to a relay, where one listens in place of a coordinator: more is not known of them.
    package var relayed: Set<String>

    package init(
        members: [Member],
        lastSeen: [String: Double],
        snapshot: ClusterFolder.Snapshot?,
        relayed: Set<String> = []
    ) {
        (self.members, self.lastSeen, self.snapshot) = (members, lastSeen, snapshot)
        self.relayed = relayed
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
            let isHere = own.contains(where: \.isActive) || key.map(relayed.contains) ?? false
            let behind = workers.count { $0.isActive && $0.name.hasPrefix("\(name)/") }
            let state =
                isHere
                ? ClusterControl.connectedState(snapshot?.isRendering == true)
                : behind > 0 ? "relay" : "away"
            let count = isHere ? "1/1" : behind > 0 ? "\(behind)/\(behind)" : "0/1"
            var row = ClusterTable.Row(host: name, state: state, workers: count)
            row.lastSeen = key.flatMap { lastSeen[$0] }.map { max(0, now - $0) }
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
