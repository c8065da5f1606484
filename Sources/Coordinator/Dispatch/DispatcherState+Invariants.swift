import Protocol

/// The last events of a dispatcher, printed when an invariant is broken.
struct DispatcherHistory: Sendable, CustomStringConvertible {
    private struct Entry {
        let time: Duration
        let event: DispatcherState.Event
        let actions: [DispatcherState.Action]
    }

    private static let length = 256
    private var entries: [Entry] = []
    private var next = 0

    mutating func record(
        _ event: DispatcherState.Event,
        _ actions: [DispatcherState.Action],
        at time: Duration
    ) {
        switch event {
        case .tick, .heard: if actions.isEmpty { return }
        default: break
        }
        let entry = Entry(time: time, event: event, actions: actions)
        if entries.count < Self.length {
            entries.append(entry)
        } else {
            entries[next] = entry
            next = (next + 1) % Self.length
        }
    }

    var description: String {
        (entries[next...] + entries[..<next]).map { entry in
            "\(entry.time.milliseconds) ms: \(entry.event) → \(entry.actions)"
        }.joined(separator: "\n")
    }
}

/// A broken invariant of the dispatcher.
package struct InvariantViolation: Error, CustomStringConvertible {
    package let promise: String
    package let trace: String

    package init(promise: String, trace: String) {
        self.promise = promise
        self.trace = trace
    }

    package var description: String { "\(promise)\n\(trace)" }
}

extension DispatcherState {
    /// Checks the invariants that hold between any two events.
    ///
    /// - Throws: the first broken invariant, with the history
    package func checkInvariants() throws(InvariantViolation) {
        func require(_ holds: Bool, _ promise: @autoclosure () -> String) throws(InvariantViolation)
        {
            if !holds { throw InvariantViolation(promise: promise(), trace: trace) }
        }
        for (id, worker) in workers.sorted(by: { $0.key < $1.key }) {
            try require((0...policy.credit).contains(worker.credit), "\(id) has \(worker.credit)")
            try require(worker.isActive || worker.held.isEmpty, "\(id) is set aside with work")
            let units = worker.held.map(\.unit)
            try require(Set(units).count == units.count, "\(id) holds a unit twice")
            try require(worker.held.count <= policy.depths.upperBound, "\(id) holds too much")
            try require(
                units.allSatisfy { recent[id]?.contains($0) == true },
                "\(id) holds what it was not given"
            )
            for unit in units {
                try require(
                    batch?.units[unit]?.holders.contains(id) == true,
                    "\(id) holds unknown \(unit)"
                )
            }
        }
        guard let batch else {
            try require(idleSince == nil, "deserted without a batch")
            return
        }
        let open = batch.units.filter { !$0.value.isDone }
        try require(open.count == batch.remaining && batch.remaining > 0, "\(batch.remaining) open")
        let waiting = open.filter { $0.value.holders.isEmpty }.keys.sorted()
        try require(waiting == batch.waiting, "waiting \(batch.waiting), without holder \(waiting)")
        for (id, unit) in batch.units.sorted(by: { $0.key < $1.key }) {
            try require(!unit.isDone || unit.holders.isEmpty, "\(id) is done and held")
            try require(
                unit.failed.values.count(where: { $0 }) < policy.maxFailures
                    + min(unit.lostHosts.count, LossRate.mostExcused),
                "\(id) should have failed"
            )
            let proven = unit.holders.count { holder in
                workers[holder]?.held.contains { $0.unit == id && $0.isProven } == true
            }
            try require(
                Set(unit.holders).count == unit.holders.count && proven <= policy.copies,
                "\(id) is held by \(unit.holders)"
            )
            for holder in unit.holders {
                try require(
                    workers[holder]?.holds(id) == true,
                    "\(id) outlives \(holder)'s lease"
                )
            }
        }
        // After an event for which all workers are considered, which is every tick at the latest, somebody is working
        // or nobody may be given work.
        if scope == .all, !waiting.isEmpty, !workers.values.contains(where: { !$0.held.isEmpty }) {
            for (id, worker) in workers where worker.isActive && worker.credit > 0 {
                try require(
                    !waiting.contains { isAllowed($0, id) },
                    "\(id) idles while units wait and nobody works"
                )
            }
        }
    }
}
