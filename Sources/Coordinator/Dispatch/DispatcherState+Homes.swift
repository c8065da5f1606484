import Protocol

// Tiles, of which workers keep what they have become so far.

extension DispatcherState {
    /// Gives waiting units, in order, to their homes as far as these have room. A unit that has none, or
    /// has lost it, goes to whoever would be done with it first.
    mutating func assignHomes(_ actions: inout [Action]) {
        guard let batch, !batch.waiting.isEmpty else { return }
        let active = activeWorkers
        guard !active.isEmpty else { return }
        settle(among: active)
        // Homes that hold nothing and ask for nothing, long enough for a tick to see it.
        let areSilent = isTick && !workers.values.contains { !$0.held.isEmpty }
        var left: [UnitID] = []
        for id in batch.waiting {
            guard let unit = self.batch?.units[id] else { continue }
            let worker = unit.home.flatMap { isHome($0, of: id) ? $0 : nil }
            if let worker, hasRoom(worker, for: unit.cost) {
                assign(id, to: worker, &actions)
            } else if worker != nil, !areSilent {
                left.append(id)
            } else if let other = soonest(for: id, unit, among: active) {
                assign(id, to: other, &actions)
            } else {
                left.append(id)
            }
        }
        self.batch?.waiting = left
    }

    /// Whether a worker still is where the unit belongs.
    private func isHome(_ worker: WorkerID, of unit: UnitID) -> Bool {
        workers[worker]?.isActive == true && isAllowed(unit, worker)
    }

    private func hasRoom(_ id: WorkerID, for cost: Double) -> Bool {
        guard let kind = batch?.kind, let worker = workers[id] else { return false }
        return worker.room(kind, cost: cost, policy) > 0
    }

    /// The worker with room that would be done with a unit first.
    private func soonest(
        for id: UnitID,
        _ unit: Unit,
        among active: [WorkerID]
    ) -> WorkerID? {
        guard let kind = batch?.kind else { return nil }
        let reference = referencePace(kind)
        func time(_ id: WorkerID) -> Double {
            guard let worker = workers[id] else { return .infinity }
            return worker.free(kind, reference: reference, at: seconds)
                + worker.time(for: unit.costElsewhere, kind, reference: reference)
        }
        return active.filter { isAllowed(id, $0) && hasRoom($0, for: unit.costElsewhere) }
            .min { (time($0), $0) < (time($1), $1) }
    }

    /// Gives tiles that nobody has begun their homes: each worker as many as it is fast. Where that is not
    /// known of all, whoever has room begins.
    private mutating func settle(among active: [WorkerID]) {
        guard let batch, batch.units.allSatisfy({ $0.value.isNew }) else { return }
        let speeds = active.compactMap { workers[$0]?.speed }
        let kind = speeds.allSatisfy { $0.pace(batch.kind) != nil } ? batch.kind : .views
        var busy = zip(active, speeds).compactMap { id, speed in
            speed.pace(kind).map { (id: id, pace: $0, until: 0.0) }
        }
        guard busy.count == active.count else { return }
        for id in batch.waiting {
            guard let cost = batch.units[id]?.cost else { continue }
            let next = busy.indices.min {
                let (a, b) = (busy[$0], busy[$1])
                return (a.until + a.pace * cost, a.id) < (b.until + b.pace * cost, b.id)
            }
            guard let next else { return }
            busy[next].until += busy[next].pace * cost
            self.batch?.units[id]?.home = busy[next].id
        }
    }
}

extension DispatcherState.Unit {
    /// Whether it is of a tile that nobody has begun.
    fileprivate var isNew: Bool { home == nil && attempts == 0 && !isDone }
}
