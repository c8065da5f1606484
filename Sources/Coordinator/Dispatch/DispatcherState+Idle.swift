import Protocol

// The end of a batch: nothing waits, and some workers have nothing to do.

extension DispatcherState {
    /// A worker that has nothing to do.
    struct Idle {
        let id: WorkerID
        /// Time from now until it would have answered a unit, in seconds.
        let time: Double
        let isProven: Bool
    }

    /// The last unit that a worker holds.
    private struct Tail {
        let owner: WorkerID
        let unit: UnitID
        /// Whether it is queued behind another unit, and held by nobody else.
        let isMovable: Bool
        /// Estimated time of its completion, in seconds; infinite if its holders are late, or if nobody has
        /// answered anything yet.
        let done: Double
        /// Number of its holders.
        let holders: Int

        /// Whether it is taken over before another: the one that finishes last comes first, then the one with fewer
        /// holders.
        func precedes(_ other: Tail) -> Bool {
            (other.done, holders, owner) < (done, other.holders, other.owner)
        }
    }

    /// Above this fleet size, idle workers are looked for at intervals, for all events in between, because a look takes
    /// time in proportion to the fleet. The interval is in seconds.
    private static let largestWatchedFleet = 256
    private static let interval = 0.05

    /// Gives idle workers units that they would finish sooner: queued units are moved, units being computed are copied.
    /// Workers that remain idle may insure units against the loss of their workers.
    mutating func occupyIdle(_ actions: inout [Action]) {
        guard batch?.waiting.isEmpty == true, let kind = batch?.kind,
            let cost = batch?.typicalCost
        else { return }
        let isLarge = workers.count > Self.largestWatchedFleet
        if isLarge {
            guard seconds - lastLookAtIdle >= Self.interval else { return }
            lastLookAtIdle = seconds
        }
        let reference = referencePace(kind)
        var idle: [Idle] = []
        func consider(_ id: WorkerID, _ worker: Worker) {
            guard worker.held.isEmpty, worker.credit > 0, worker.isActive else { return }
            let time = worker.time(for: cost, kind, reference: reference)
            let trip = worker.speed.roundTrip ?? 0
            idle.append(Idle(id: id, time: time + trip, isProven: worker.isProven))
        }
        // A worker that found nothing before will find nothing until time has passed: wait for ticks.
        if case .some(let touched) = scope, !isLarge {
            for id in Set(touched) { if let worker = workers[id] { consider(id, worker) } }
        } else {
            for (id, worker) in workers { consider(id, worker) }
        }
        guard !idle.isEmpty else { return }
        takeOver(by: idle, kind, reference, &actions)
        insure(by: idle, kind, reference: reference, &actions)
    }

    /// Gives idle workers units that they would finish at least a tenth sooner, because paces are estimates.
    private mutating func takeOver(
        by idle: [Idle],
        _ kind: Kind,
        _ reference: Double?,
        _ actions: inout [Action]
    ) {
        guard let quickest = idle.map(\.time).min() else { return }
        var tails = PriorityQueue<Tail> { $0.precedes($1) }
        for (id, worker) in workers where !worker.held.isEmpty {
            if let tail = tail(of: id, kind, reference) { tails.add(tail) }
        }
        guard let latest = tails.first?.done, latest > seconds + 1.1 * quickest else { return }
        let idle = idle.sorted {
            $0.isProven == $1.isProven ? ($0.time, $0.id) < ($1.time, $1.id) : $0.isProven
        }
        let guesses = idle.count { !$0.isProven }
        var hasGuessed = false
        // A copied unit is also the last one of its other holders.
        var taken: Set<UnitID> = []
        for worker in idle {
            let (id, isProven) = (worker.id, worker.isProven)
            // What one unproven worker may not take, the others may not take either.
            if hasGuessed, !isProven { return }
            let promise = seconds + 1.1 * worker.time
            guard let latest = tails.first?.done, latest > promise else { return }
            var others: [Tail] = []
            var best: Tail?
            while best == nil, let tail = tails.first, tail.done > promise {
                tails.removeFirst()
                guard !taken.contains(tail.unit) else { continue }
                if canHave(tail, id, among: guesses) { best = tail } else { others.append(tail) }
            }
            for tail in others { tails.add(tail) }
            guard let tail = best else {
                hasGuessed = !isProven
                continue
            }
            if tail.isMovable {
                workers[tail.owner]?.held.removeLast()
                workers[tail.owner]?.drops += 1
                batch?.units[tail.unit]?.holders.removeAll { $0 == tail.owner }
                actions.append(.abandon(tail.unit, at: tail.owner))
            }
            assign(tail.unit, to: id, &actions)
            taken.insert(tail.unit)
            if let next = self.tail(of: tail.owner, kind, reference), next.unit != tail.unit {
                tails.add(next)
            }
        }
    }

    /// Whether an idle worker may take the unit while `guesses` unproven ones are idle.
    private func canHave(_ tail: Tail, _ worker: WorkerID, among guesses: Int) -> Bool {
        guard let unit = batch?.units[tail.unit], let taker = workers[worker],
            !unit.holders.contains(worker), isAllowed(tail.unit, worker), hasRoom(unit)
        else { return false }
        if tail.isMovable || taker.isProven { return true }
        // No worker is proven yet: the longer nobody answers, the more are tried.
        let age = seconds - (unit.firstAssigned ?? seconds)
        let rounds = (age / (policy.hedge / .seconds(1))).rounded(.down)
        let each = min(16, 1 + guesses / 8)
        return Double(unproven(unit)) < 1 + rounds * Double(each)
    }

    /// Whether another proven worker may take a copy.
    private func hasRoom(_ unit: Unit) -> Bool {
        unit.holders.count < policy.copies || unit.holders.count - unproven(unit) < policy.copies
    }

    private func unproven(_ unit: Unit) -> Int {
        unit.holders.count { workers[$0]?.isProven != true }
    }

    private func tail(of owner: WorkerID, _ kind: Kind, _ reference: Double?) -> Tail? {
        guard let last = workers[owner]?.held.last, let unit = batch?.units[last.unit],
            hasRoom(unit)
        else { return nil }
        let isMovable = unit.holders.count == 1 && (workers[owner]?.held.count ?? 0) > 1
        let done = unit.holders.compactMap { holder -> Double? in
            guard let worker = workers[holder] else { return nil }
            if isLate(worker, kind, reference: reference) { return .infinity }
            if !worker.isProven, reference == nil { return .infinity }
            guard let place = worker.held.firstIndex(where: { $0.unit == last.unit }) else {
                return nil
            }
            let through = worker.free(kind, reference: reference, at: seconds)
            let behind = worker.held[(place + 1)...].reduce(0) { $0 + $1.cost }
            return through - worker.time(for: behind, kind, reference: reference)
        }.min()
        return Tail(
            owner: owner,
            unit: last.unit,
            isMovable: isMovable,
            done: done ?? .infinity,
            holders: unit.holders.count
        )
    }
}
