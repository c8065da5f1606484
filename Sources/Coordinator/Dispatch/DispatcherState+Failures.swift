import Protocol

// Units that fail.

extension DispatcherState {
    /// Counts a bad answer against the unit, the worker and its host.
    mutating func refuse(
        _ id: UnitID,
        by worker: WorkerID,
        _ reason: String,
        _ actions: inout [Action]
    ) {
        guard workers[worker] != nil else { return }
        guard let answered = recent[worker]?.takeAnswer(id) else {
            return expel(worker, because: id, &actions)
        }
        workers[worker]?.lastHeard = now
        guard let sender = workers[worker], !sender.isSetAside, answered.isFirst else { return }
        let wasFormer = batch?.units[id]?.former.contains(worker) == true
        guard sender.holds(id) || wasFormer else { return }
        batch?.units[id]?.former.removeAll { $0 == worker }
        release(id, from: worker)
        workers[worker]?.strikes += 1
        lossRate.noteLoss()
        countFailure(of: sender.host)
        if let strikes = workers[worker]?.strikes, strikes >= policy.strikes {
            setAside(worker, &actions)
        }
        charge(id, UnitFailure(worker: worker, cause: .refused(reason)), sender, &actions)
    }

    /// Records a failed attempt of a worker, whose state was `sender` at that time; the batch fails if no worker is
    /// left that might do better.
    mutating func charge(
        _ id: UnitID,
        _ failure: UnitFailure,
        _ sender: Worker,
        _ actions: inout [Action]
    ) {
        guard var unit = batch?.units[id], !unit.isDone else { return }
        guard unit.barred == nil else { return skip(id, &actions) }
        unit.failures.append(failure)
        unit.failedSince = unit.failedSince ?? now
        unit.failed[sender.host] = unit.failed[sender.host] == true || sender.isProven
        if case .lost = failure.cause { unit.lostHosts.insert(sender.host) }
        batch?.units[id] = unit
        guard isGivenUp(unit) else { return }
        close(&actions)
        actions.append(.failed(id, unit.failures))
    }

    /// Whether a unit is given up: if it failed on enough proven hosts, or if no worker is left to try. One faulty host
    /// is not enough, however often it reconnects, and neither are many unproven ones while others may still join.
    private func isGivenUp(_ unit: Unit) -> Bool {
        let proven = unit.failed.values.count { $0 }
        if proven >= policy.maxFailures + lossRate.excused(unit.lostHosts.count) { return true }
        let others = workers.values.filter { !$0.isSetAside && unit.failed[$0.host] == nil }
        if others.contains(where: \.isProven) { return false }
        let mayWait =
            policy.mayOthersJoin && !isClosed
            && (unit.failed.count < policy.maxFailures
                || proven == 0 && unit.lostHosts.count < policy.maxFailures)
            && now - (unit.failedSince ?? now) < policy.grace
        // A unit that crashes every worker must not take down a whole fleet.
        if unit.lostHosts.count >= policy.maxUnprovenFailures { return true }
        if mayWait || !unit.holders.isEmpty { return false }
        if unit.failed.count >= policy.maxUnprovenFailures { return true }
        return unit.failures.count >= policy.maxFailures
            && !others.contains { $0.isAvailable(at: now, policy) }
    }
}
