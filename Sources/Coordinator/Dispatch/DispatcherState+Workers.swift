import Protocol

// Workers that come, go and misbehave.

extension DispatcherState {
    mutating func ask(_ id: WorkerID, _ units: Int) {
        guard let worker = workers[id] else { return }
        workers[id]?.lastHeard = now
        // It has disposed of more than what it had not begun, so it is at work.
        if units > worker.drops { workers[id]?.isDoubtful = false }
        workers[id]?.drops = max(0, worker.drops - units)
        touch(id)
        workers[id]?.credit = min(worker.credit + min(max(0, units), policy.credit), policy.credit)
    }

    /// Forgets a worker; its units wait again. The one it was computing is charged, if there is
    /// something to charge it with.
    mutating func lose(_ id: WorkerID, blame cause: Casualty.Cause?, _ actions: inout [Action]) {
        guard let worker = workers[id] else { return }
        for lease in worker.held { release(lease.unit, from: id) }
        workers[id] = nil
        if let cause, let first = worker.held.first?.unit {
            charge(first, Casualty(worker: id, cause: cause), &actions)
        }
    }

    mutating func setAside(_ id: WorkerID, _ actions: inout [Action]) {
        guard let worker = workers[id], !worker.isSetAside else { return }
        workers[id]?.isSetAside = true
        actions.append(.setAside(id))
        for lease in worker.held {
            release(lease.unit, from: id)
            actions.append(.abandon(lease.unit, at: id))
        }
    }

    /// Takes the units of workers that hold one for far longer than they usually take.
    mutating func endLeases(_ actions: inout [Action]) {
        guard let kind = batch?.kind else { return }
        let over = workers.filter { _, worker in
            guard let first = worker.held.first else { return false }
            let lease = worker.speed.lease(of: first.cost, kind, policy)
            return seconds - worker.speed.since > lease
        }.keys.sorted()
        for id in over {
            guard let first = workers[id]?.held.first else { continue }
            workers[id]?.speed.interrupt(cost: first.cost, kind, isLate: true, at: seconds)
            // Not abandoned: it may be slow, and its answer good.
            release(first.unit, from: id)
            if batch?.units[first.unit]?.former.contains(id) == false {
                batch?.units[first.unit]?.former.append(id)
            }
            doubt(id, &actions)
            workers[id]?.overdue += 1
            if let overdue = workers[id]?.overdue, overdue >= policy.strikes {
                setAside(id, &actions)
            }
        }
    }

    /// Takes back what a worker holds and gives it nothing more until it answers or asks.
    mutating func doubt(_ id: WorkerID, _ actions: inout [Action]) {
        guard let worker = workers[id], worker.isActive else { return }
        workers[id]?.isDoubtful = true
        workers[id]?.doubts += 1
        workers[id]?.doubtedAt = now
        workers[id]?.drops += worker.held.count
        scope = .all
        for lease in worker.held {
            release(lease.unit, from: id)
            actions.append(.abandon(lease.unit, at: id))
        }
        actions.append(.doubt(id))
    }

    /// Tries doubtful workers again, each time later: a message may have been lost on the way.
    mutating func endDoubts() {
        for (id, worker) in workers where worker.isDoubtful && !worker.isSetAside {
            if now - worker.doubtedAt > policy.probation * worker.doubts {
                workers[id]?.isDoubtful = false
            }
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
        guard batch != nil, !workers.contains(where: { $0.value.isActive }) else {
            desertedSince = nil
            return
        }
        let since = desertedSince ?? now
        desertedSince = since
        // Those whose leases are over may answer yet.
        let isHopeless = isClosed && !workers.contains { !$0.value.isSetAside }
        if isHopeless || now - since >= policy.grace {
            close(&actions)
            actions.append(.deserted)
        }
    }
}
