import Protocol

/// One host, across all connections of all of its workers.
package struct HostID: Hashable, Sendable, CustomStringConvertible {
    /// Its key, or its name and address.
    package let text: String

    package init(_ text: String) {
        self.text = text
    }

    /// Lets a worker count as its own host.
    init(_ worker: WorkerID) {
        text = "\(worker)"
    }

    package var description: String { text }
}

/// Recent failures of a host: workers that were lost while they held work, bad answers, and answers to units that they
/// were not given.
struct HostRecord: Sendable {
    /// Failures not yet cancelled by a good answer.
    var failures = 0
    /// Until when workers that join get no work.
    private(set) var pausedUntil: Duration = .zero

    /// Maximum number of hosts that are remembered, unless more of them are paused.
    static let capacity = 4096

    /// Counts a failure. The first has no effect, the second causes a pause, and each further one a pause twice as
    /// long.
    mutating func fail(at now: Duration, _ policy: DispatcherState.Policy) {
        failures += 1
        guard failures > 1 else { return }
        let pause = policy.pause * (1 << min(failures - 2, 16))
        pausedUntil = now + min(pause, policy.maxPause)
    }
}

/// Units that a worker was given recently, and so may answer.
struct RecentAssignments: Sendable {
    private struct Entry {
        var lease: DispatcherState.Lease
        var isAnswered = false
    }

    /// The assignments, latest last.
    private var entries: [Entry] = []

    /// Maximum number of entries: far more than a worker holds and has in transit. A worker that answers an older unit
    /// is expelled, and may join again.
    private static let capacity = 64

    mutating func add(_ lease: DispatcherState.Lease) {
        if let place = entries.firstIndex(where: { $0.lease.unit == lease.unit }) {
            entries.remove(at: place)
        } else if entries.count == Self.capacity {
            entries.removeFirst()
        }
        entries.append(Entry(lease: lease))
    }

    /// Records an answer.
    ///
    /// - Returns: nil if the unit was never given; otherwise its lease, and whether this is the first answer
    mutating func takeAnswer(_ unit: UnitID) -> (lease: DispatcherState.Lease, isFirst: Bool)? {
        guard let place = entries.firstIndex(where: { $0.lease.unit == unit }) else { return nil }
        defer { entries[place].isAnswered = true }
        return (entries[place].lease, !entries[place].isAnswered)
    }

    /// Whether the worker was given the unit.
    func contains(_ unit: UnitID) -> Bool { entries.contains { $0.lease.unit == unit } }
}
