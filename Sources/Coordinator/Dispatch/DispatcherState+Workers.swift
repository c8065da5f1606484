import Protocol

// Workers that join, leave and misbehave.

extension DispatcherState {
    mutating func join(
        _ id: WorkerID,
        from name: HostID,
        _ site: HostID?,
        _ isRelayed: Bool,
        _ actions: inout [Action]
    ) {
        let host = number(name)
        recent[id] = RecentAssignments()
        var worker = Worker(
            host: host,
            site: site.map { number($0) } ?? host,
            isRelayed: isRelayed,
            lastHeard: now,
            lastActed: now
        )
        if distrusted.contains(site ?? name) {
            worker.isDistrusted = true
            actions.append(.setAside(id))
        }
        if let until = hosts[host]?.pausedUntil, until > now {
            worker.pausedUntil = until
            actions.append(.pause(id, for: until - now))
        }
        if let speed = remembered[host], isAlone(host) { worker.speed.recall(speed) }
        workers[id] = worker
    }

    /// Whether no worker of the host is connected: several workers may differ in speed.
    private func isAlone(_ host: Int) -> Bool { !workers.values.contains { $0.host == host } }

    /// Number of a host. Without keys, workers choose their own names, so only hosts that are connected or failed
    /// recently are kept.
    mutating func number(_ name: HostID) -> Int {
        if let known = hostNumbers[name] { return known }
        if hostNumbers.count >= HostRecord.capacity {
            let used = Set(workers.values.flatMap { [$0.host, $0.site] }).union(hosts.keys)
            hostNumbers = hostNumbers.filter { used.contains($0.value) }
            remembered.keep(only: used)
        }
        defer { nextHost += 1 }
        hostNumbers[name] = nextHost
        return nextHost
    }

    mutating func ask(_ id: WorkerID, _ units: Int) {
        guard let worker = workers[id] else { return }
        workers[id]?.lastHeard = now
        if units > 0 { workers[id]?.lastActed = now }
        // It has finished more than the units that it had not begun, so it is working.
        if units > worker.drops { workers[id]?.isDoubtful = false }
        workers[id]?.drops = max(0, worker.drops - units)
        touch(id)
        workers[id]?.credit = min(worker.credit + min(max(0, units), policy.credit), policy.credit)
    }

    mutating func gather(_ id: WorkerID, _ units: Int) {
        workers[id]?.lastHeard = now
        workers[id]?.batch = min(max(1, units), Self.largestBatch)
        touch(id)
    }

    /// Removes a worker; its units wait again. The unit that it was computing counts as failed if the loss is a
    /// failure.
    mutating func lose(_ id: WorkerID, _ loss: WorkerLoss, _ actions: inout [Action]) {
        guard let worker = workers[id] else { return }
        for lease in worker.held { release(lease.unit, from: id) }
        if !worker.held.isEmpty { lossRate.noteLoss() }
        workers[id] = nil
        recent[id] = nil
        if worker.isProven, isAlone(worker.host) { remembered.note(worker.speed, of: worker.host) }
        if loss.isCharged, let first = worker.held.first?.unit {
            countFailure(of: worker.host)
            charge(first, UnitFailure(worker: id, cause: .lost(loss)), worker, &actions)
        }
    }

    /// Removes a worker that answered a unit that it was never given. Its units wait again, and
    /// do not count as failed.
    mutating func expel(_ id: WorkerID, because unit: UnitID, _ actions: inout [Action]) {
        guard let worker = workers[id] else { return }
        actions.append(.expel(id, unit))
        countFailure(of: worker.host)
        scope = .all
        lose(id, .left, &actions)
    }

    /// Counts a failure of a host; after several, workers that join from it get no work for a while.
    mutating func countFailure(of host: Int) {
        var record = hosts[host] ?? HostRecord()
        record.fail(at: now, policy)
        hosts[host] = record
        guard hosts.count > HostRecord.capacity else { return }
        hosts = hosts.filter { $0.value.pausedUntil > now || $0.key == host }
    }

    /// A good answer cancels one failure of a host.
    mutating func cancelFailure(of host: Int) {
        guard var record = hosts[host] else { return }
        record.failures -= 1
        hosts[host] = record.failures > 0 ? record : nil
    }

    mutating func endPauses() {
        for (id, worker) in workers {
            if let until = worker.pausedUntil, until <= now { workers[id]?.pausedUntil = nil }
        }
    }

    /// Ends all pauses if no other worker is left: a healthy worker may share its host, and thus its key or name, with
    /// one that fails.
    mutating func endPausesIfNoneIsActive() {
        guard let since = idleSince, now - since >= policy.pause else { return }
        for id in workers.keys { workers[id]?.pausedUntil = nil }
    }

    mutating func setAside(_ id: WorkerID, _ actions: inout [Action]) {
        guard let worker = workers[id], !worker.isSetAside else { return }
        workers[id]?.isStruck = true
        takeWork(from: id, &actions)
    }

    /// Reports that a worker is set aside, and takes its units away.
    mutating func takeWork(from id: WorkerID, _ actions: inout [Action]) {
        guard let worker = workers[id] else { return }
        actions.append(.setAside(id))
        for lease in worker.held {
            release(lease.unit, from: id)
            actions.append(.abandon(lease.unit, at: id))
        }
    }

    /// Takes away the units of workers that have held one for far longer than usual.
    mutating func endLeases(_ actions: inout [Action]) {
        guard let kind = batch?.kind else { return }
        let reference = referencePace(kind)
        let over = workers.filter { _, worker in
            guard !worker.held.isEmpty else { return false }
            let lease = worker.speed.lease(
                of: worker.maxHeadCost,
                kind,
                policy,
                reference: reference
            )
            return seconds - worker.speed.since > lease
        }.keys.sorted()
        for id in over {
            guard let worker = workers[id], let first = worker.held.first else { continue }
            workers[id]?.speed.interrupt(cost: worker.maxHeadCost, kind, isLate: true, at: seconds)
            // The lease stays on record: the worker may be slow, and its answer good.
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

    /// Takes back all units of a worker and gives it nothing more until it answers or asks.
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

    /// Tries doubtful workers again, with increasing delays: a message may have been lost.
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
            lose(id, .silent, &actions)
        }
    }

    /// Ends an open batch that has had no worker for too long.
    mutating func giveUpIfNoWorkersAreLeft(_ actions: inout [Action]) {
        guard batch != nil, !workers.contains(where: { $0.value.isActive }) else {
            idleSince = nil
            return
        }
        let since = idleSince ?? now
        idleSince = since
        // Workers whose leases have expired may still answer.
        let isGivenUp = isClosed && !workers.contains { !$0.value.isSetAside }
        let areAllSetAside = !workers.isEmpty && workers.values.allSatisfy(\.isSetAside)
        let isHopeless = areAllSetAside && !policy.mayOthersJoin
        let grace = isHopeless ? min(policy.grace, policy.graceWithoutHope) : policy.grace
        guard isGivenUp || now - since >= grace else { return }
        // If a unit failed on several hosts, that is the reason, and says more.
        let failed = batch?.units.filter { $0.value.failed.count >= policy.maxFailures }
            .min { $0.key < $1.key }
        close(&actions)
        actions.append(failed.map { .failed($0.key, $0.value.failures) } ?? .noWorkersLeft)
    }
}
