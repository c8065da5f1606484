import Protocol

/// One host, over all connections of all of its workers.
package struct HostID: Hashable, Sendable, CustomStringConvertible {
    /// Its key, or its name and address.
    package let text: String

    package init(_ text: String) {
        self.text = text
    }

    /// A worker that counts as its own host.
    init(_ worker: WorkerID) {
        text = "\(worker)"
    }

    package var description: String { text }
}

/// The recent failures of a host: workers that ended while they held work, bad answers, and answers to units
/// that they were not given.
struct HostRecord: Sendable {
    /// Failures not yet cancelled by a good answer.
    var failures = 0
    /// Until when workers that join get no work.
    private(set) var pausedUntil: Duration = .zero

    /// Maximum hosts that are remembered, unless more of them are paused.
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

/// The units that a worker was given recently: those that it may answer.
struct RecentAssignments: Sendable {
    private struct Entry {
        var lease: DispatcherState.Lease
        var isAnswered = false
    }

    /// The latest last.
    private var entries: [Entry] = []

    /// Far more than a worker holds and has in transit. One that answers an older unit is
    /// expelled, and may join again.
    private static let capacity = 64

    mutating func add(_ lease: DispatcherState.Lease) {
        if let place = entries.firstIndex(where: { $0.lease.unit == lease.unit }) {
            entries.remove(at: place)
        } else if entries.count == Self.capacity {
            entries.removeFirst()
        }
        entries.append(Entry(lease: lease))
    }

    /// Takes an answer.
    ///
    /// - Returns: nil if the unit was never given; else when it was, and whether this is its first answer
    mutating func takeAnswer(_ unit: UnitID) -> (lease: DispatcherState.Lease, isFirst: Bool)? {
        guard let place = entries.firstIndex(where: { $0.lease.unit == unit }) else { return nil }
        defer { entries[place].isAnswered = true }
        return (entries[place].lease, !entries[place].isAnswered)
    }

    /// Whether the unit was given.
    func contains(_ unit: UnitID) -> Bool { entries.contains { $0.lease.unit == unit } }
}
