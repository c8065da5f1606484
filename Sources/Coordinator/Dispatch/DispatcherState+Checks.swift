import Protocol

// Units that are computed a second time, and sites whose answers were wrong.

extension DispatcherState {
    /// Skips a check: workers that still compute it are told that nobody waits for it.
    mutating func skip(_ id: UnitID, _ actions: inout [Action]) {
        guard let unit = batch?.units[id], !unit.isDone else { return }
        for holder in unit.holders {
            release(id, from: holder)
            actions.append(.abandon(id, at: holder))
        }
        batch?.waiting.removeAll { $0 == id }
        batch?.units[id]?.state = .done
        batch?.remaining -= 1
        actions.append(.skip(id))
        if batch?.remaining == 0 {
            close(&actions)
            actions.append(.complete)
        }
    }

    /// Skips checks that no worker may have, neither now nor soon.
    mutating func skipHopelessChecks(_ actions: inout [Action]) {
        // Answers and requests cannot make a check hopeless: this is for other events, and runs at the latest on the
        // next tick.
        guard scope == .all, let checks = batch?.checks, !checks.isEmpty,
            batch?.waiting.isEmpty == false
        else { return }
        let available = Set(
            workers.values.lazy.filter { [now, policy] in $0.isAvailable(at: now, policy) }.map(
                \.site
            )
        )
        for id in checks {
            guard let unit = batch?.units[id], unit.state == .waiting, let barred = unit.barred,
                available.isSubset(of: barred)
            else { continue }
            skip(id, &actions)
        }
    }

    /// Gives a site no more work, not even workers that join from there later.
    mutating func distrust(_ name: HostID, _ actions: inout [Action]) {
        guard distrusted.count < HostRecord.capacity, distrusted.insert(name).inserted else {
            return
        }
        let site = number(name)
        for id in workers.keys.sorted() where workers[id]?.site == site {
            guard workers[id]?.isDistrusted == false else { continue }
            let wasSetAside = workers[id]?.isSetAside == true
            workers[id]?.isDistrusted = true
            if !wasSetAside { takeWork(from: id, &actions) }
        }
    }

    /// Whether any connected worker may get work, now or later.
    package var hasWorkersLeft: Bool { workers.values.contains { !$0.isSetAside } }

    /// Gives a site work again.
    mutating func trust(_ name: HostID) {
        guard distrusted.remove(name) != nil else { return }
        let site = number(name)
        for id in workers.keys where workers[id]?.site == site {
            workers[id]?.isDistrusted = false
        }
    }
}
