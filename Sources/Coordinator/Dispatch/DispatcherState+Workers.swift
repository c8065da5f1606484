import Protocol

// Workers that come, go and misbehave.

extension DispatcherState {
    mutating func ask(_ id: WorkerID, _ units: Int) {
        guard let worker = workers[id] else { return }
        workers[id]?.lastHeard = now
        workers[id]?.credit = min(worker.credit + max(0, units), policy.credit)
    }

    /// Forgets a worker; its units wait again. The one it was computing is charged, if there is
    /// something to charge it with.
    mutating func lose(_ id: WorkerID, blame cause: Casualty.Cause?, _ actions: inout [Action]) {
        guard let worker = workers[id] else { return }
        for unit in worker.held { release(unit, from: id) }
        workers[id] = nil
        if let cause, let first = worker.held.first {
            charge(first, Casualty(worker: id, cause: cause), &actions)
        }
    }

    mutating func setAside(_ id: WorkerID, _ actions: inout [Action]) {
        guard let worker = workers[id], !worker.isSetAside else { return }
        workers[id]?.isSetAside = true
        actions.append(.setAside(id))
        for unit in worker.held {
            release(unit, from: id)
            actions.append(.abandon(unit, at: id))
        }
    }

    mutating func evictSilent(_ actions: inout [Action]) {
        let silent = workers.filter { now - $0.value.lastHeard > policy.silence }.keys.sorted()
        for id in silent {
            actions.append(.evict(id))
            lose(id, blame: .silent, &actions)
        }
    }

    /// Ends an open batch that has had nobody to compute it for too long.
    mutating func giveUpIfDeserted(_ actions: inout [Action]) {
        guard batch != nil, !workers.contains(where: { !$0.value.isSetAside }) else {
            desertedSince = nil
            return
        }
        let since = desertedSince ?? now
        desertedSince = since
        if isClosed || now - since >= policy.grace {
            close(&actions)
            actions.append(.deserted)
        }
    }
}
