import Coordinator
import Protocol

/// Workers that belong to no host of the cluster file: machines that joined by invitation, and workers that were
/// started manually. Pure.
package struct OtherWorkers {
    package var members: [Member]
    /// When a coordinator last heard from each key, in seconds since 1970.
    package var lastSeen: [String: Double]
    /// What the running coordinator knows; nil if none is running.
    package var snapshot: ClusterFolder.Snapshot?
    /// Keys of the machines that are connected to a relay, if one is listening instead of a coordinator; nothing else
    /// is known about them.
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

    /// A table row for each of these workers.
    ///
    /// - Parameters:
    ///   - hosts: names of the hosts in the file
    ///   - now: seconds since 1970
    /// - Returns: the rows, sorted by name
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

    /// Notes about these workers below the table.
    func notes(besides hosts: [String]) -> [String] {
        workers(besides: hosts).compactMap(ClusterTop.trouble)
    }

    /// Workers that are connected, and those of machines that joined by invitation.
    private func workers(besides hosts: [String]) -> [ClusterFolder.Snapshot.Worker] {
        (snapshot?.workers ?? []).filter { worker in
            let isListed = hosts.contains { ClusterControl.belongs(worker.name, to: $0) }
            return !isListed
                && (worker.isActive || members.contains { $0.name == worker.name })
        }
    }
}

extension ClusterFolder.Snapshot {
    /// Whether there is work: units are waiting, or were answered in the last few seconds.
    var isRendering: Bool {
        (unitsLeft ?? 1) > 0 || workers.contains { $0.isActive && ($0.more?.rate ?? 0) > 0 }
    }
}
