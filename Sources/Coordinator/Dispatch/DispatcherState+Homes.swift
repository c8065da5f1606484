import Protocol

// Tiles that workers keep between batches.

extension DispatcherState {
    /// Assigns waiting units to their homes, if these have room.
    mutating func assignHome(_ actions: inout [Action]) {
        guard let kind = batch?.kind, let waiting = batch?.waiting else { return }
        var left: [UnitID] = []
        for id in waiting {
            if let unit = batch?.units[id], let home = home(of: id, unit),
                let worker = workers[home],
                worker.room(kind, cost: unit.cost, policy, at: seconds) > 0
            {
                assign(id, to: home, &actions)
            } else {
                left.append(id)
            }
        }
        batch?.waiting = left
    }

    /// Whether a unit waits for its home although others may have room. Nothing waits for a home that holds no units,
    /// because it will not get room by finishing one.
    func waitsForHome(_ id: UnitID) -> Bool {
        guard let unit = batch?.units[id], let home = home(of: id, unit) else { return false }
        return workers[home]?.held.isEmpty == false
    }

    /// A unit whose home no longer keeps its tile waits again, for any worker. This does not count as a failure.
    mutating func miss(_ id: UnitID, by worker: WorkerID, _ actions: inout [Action]) {
        guard workers[worker] != nil else { return }
        guard let answered = recent[worker]?.takeAnswer(id) else {
            return expel(worker, because: id, &actions)
        }
        workers[worker]?.lastHeard = now
        guard answered.isFirst else { return }
        if batch?.units[id]?.home == worker { batch?.units[id]?.home = nil }
        batch?.units[id]?.former.removeAll { $0 == worker }
        release(id, from: worker)
    }

    /// The home of a unit, if it may have the unit. A home that has let a lease expire since its last answer may not:
    /// others would wait for it again and again.
    private func home(of id: UnitID, _ unit: Unit) -> WorkerID? {
        guard let home = unit.home, let worker = workers[home], worker.isActive, worker.isReliable,
            isAllowed(id, home)
        else { return nil }
        return home
    }

    /// Divides new tiles among the active workers according to their paces, if all of them are reliable.
    mutating func planHomes() {
        guard let batch, batch.units.allSatisfy({ $0.value.home == nil }) else { return }
        let active = activeWorkers
        guard active.allSatisfy({ workers[$0]?.isReliable == true }) else { return }
        let areTimed = active.allSatisfy { workers[$0]?.speed.pace(batch.kind) != nil }
        let kind = areTimed ? batch.kind : .views
        var plans = active.compactMap { id in
            workers[id]?.speed.pace(kind).map { (id: id, pace: $0, busy: 0.0) }
        }
        guard !plans.isEmpty, plans.count == active.count else { return }
        for id in batch.waiting {
            guard let cost = batch.units[id]?.cost else { continue }
            // Ties go to the worker that joined first.
            let next = plans.indices.min {
                (plans[$0].busy + plans[$0].pace * cost, $0)
                    < (plans[$1].busy + plans[$1].pace * cost, $1)
            }
            guard let next else { return }
            plans[next].busy += plans[next].pace * cost
            self.batch?.units[id]?.home = plans[next].id
        }
    }
}
