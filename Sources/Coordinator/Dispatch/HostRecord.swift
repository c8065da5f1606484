import Protocol

/// One host, over all connections of all of its workers.
package struct HostID: Hashable, Sendable, CustomStringConvertible {
    /// Its key, or its name and address.
    package let text: String

    package init(_ text: String) {
        self.text = text
    }

    /// A worker that is a host of its own.
    init(_ worker: WorkerID) {
        text = "\(worker)"
    }

    package var description: String { text }
}

/// What a host did badly lately: workers that ended with work in hand, bad answers, and answers to what
/// was not asked.
struct HostRecord: Sendable {
    /// Failures that no good answer has made up for yet.
    var failures = 0
    /// Until when workers that join get nothing.
    private(set) var restsUntil: Duration = .zero

    /// Most hosts that are remembered, unless more of them rest.
    static let memory = 4096

    /// Counts a failure. The first is free, the second costs a rest, and each further one a rest twice as
    /// long.
    mutating func fail(at now: Duration, _ policy: DispatcherState.Policy) {
        failures += 1
        guard failures > 1 else { return }
        let rest = policy.rest * (1 << min(failures - 2, 16))
        restsUntil = now + min(rest, policy.longestRest)
    }
}

/// The units that a worker was given last: what it may answer.
struct LentUnits: Sendable {
    private struct Entry {
        var lease: DispatcherState.Lease
        var isAnswered = false
    }

    /// The latest at the end.
    private var entries: [Entry] = []

    /// Far more than a worker holds and has under way. One that answers what it was given before is
    /// expelled, and may join again.
    private static let memory = 64

    mutating func add(_ lease: DispatcherState.Lease) {
        if let place = entries.firstIndex(where: { $0.lease.unit == lease.unit }) {
            entries.remove(at: place)
        } else if entries.count == Self.memory {
            entries.removeFirst()
        }
        entries.append(Entry(lease: lease))
    }

    /// Takes an answer.
    ///
    /// - Returns: nil if the unit was never given; else how it was, and whether this is its first answer
    mutating func settle(_ unit: UnitID) -> (lease: DispatcherState.Lease, isFirst: Bool)? {
        guard let place = entries.firstIndex(where: { $0.lease.unit == unit }) else { return nil }
        defer { entries[place].isAnswered = true }
        return (entries[place].lease, !entries[place].isAnswered)
    }

    /// Whether the unit was given.
    func contains(_ unit: UnitID) -> Bool { entries.contains { $0.lease.unit == unit } }
}
