import Protocol

// Batches and units.

extension DispatcherState {
    mutating func submit(_ units: [UnitID], _ costs: [Double], _ kind: Kind, _ homes: [Home]) {
        precondition(batch == nil, "a batch is open already\n\(story)")
        precondition(costs.isEmpty || costs.count == units.count, "\(costs.count) costs")
        precondition(homes.isEmpty || homes.count == units.count, "\(homes.count) homes")
        guard !units.isEmpty else { return }
        let each = units.enumerated().map { place, id -> (UnitID, Unit) in
            let cost = costs.isEmpty ? 1 : max(1e-6, costs[place])
            let elsewhere = homes.isEmpty ? cost : max(cost, homes[place].costElsewhere)
            let home = homes.isEmpty ? nil : homes[place].worker
            return (id, Unit(cost: cost, home: home, costElsewhere: elsewhere))
        }
        let count = Double(each.count)
        batch = Batch(
            kind: kind,
            units: Dictionary(uniqueKeysWithValues: each),
            waiting: units.sorted(),
            remaining: units.count,
            typicalCost: each.reduce(0) { $0 + $1.1.cost } / count,
            typicalCostElsewhere: each.reduce(0) { $0 + $1.1.costElsewhere } / count,
            hasHomes: !homes.isEmpty
        )
        desertedSince = nil
    }

    /// Ends the batch; whatever is held is no longer wanted.
    mutating func close(_ actions: inout [Action]) {
        guard let ended = batch else { return }
        batch = nil
        desertedSince = nil
        for id in workers.keys.sorted() {
            for (place, lease) in (workers[id]?.held ?? []).enumerated() {
                actions.append(.abandon(lease.unit, at: id))
                if place > 0 { workers[id]?.drops += 1 }
            }
            workers[id]?.held = []
        }
        for (id, unit) in ended.units.sorted(by: { $0.key < $1.key }) where !unit.isDone {
            abandonFormer(id, unit, but: nil, &actions)
        }
    }

    /// Takes the first answer to a unit, from whomever it comes.
    mutating func accept(
        _ id: UnitID,
        from worker: WorkerID,
        _ spent: Duration?,
        _ actions: inout [Action]
    ) {
        guard let sender = workers[worker] else { return }
        workers[worker]?.lastHeard = now
        workers[worker]?.isDoubtful = false
        workers[worker]?.overdue = 0
        workers[worker]?.doubts = 0
        touch(worker)
        if let kind = batch?.kind, let first = sender.held.first, first.unit == id {
            workers[worker]?.speed.finish(
                cost: first.cost,
                kind,
                assigned: first.assigned,
                spent: spent.map { $0 / .seconds(1) },
                at: seconds
            )
        }
        guard !sender.isSetAside, let unit = batch?.units[id], !unit.isDone else {
            return release(id, from: worker)
        }
        drop(id, from: worker)
        actions.append(.accept(id))
        for other in unit.holders where other != worker {
            overtake(other, at: id, &actions)
            actions.append(.abandon(id, at: other))
        }
        abandonFormer(id, unit, but: worker, &actions)
        batch?.units[id]?.holders = []
        batch?.units[id]?.former = []
        batch?.units[id]?.isDone = true
        if unit.holders.isEmpty { batch?.waiting.removeAll { $0 == id } }
        batch?.remaining -= 1
        if batch?.remaining == 0 {
            close(&actions)
            actions.append(.complete)
        }
    }

    /// Another worker was faster with a unit. One that was late with it is in doubt.
    private mutating func overtake(
        _ worker: WorkerID,
        at id: UnitID,
        _ actions: inout [Action]
    ) {
        guard let kind = batch?.kind, let slow = workers[worker] else { return }
        let isLate = isLate(slow, kind, reference: referencePace(kind))
        let first = slow.held.first
        drop(id, from: worker)
        touch(worker)
        if let first, first.unit == id {
            workers[worker]?.speed
                .interrupt(
                    cost: first.cost,
                    kind,
                    isLate: isLate,
                    since: slow.speed.since,
                    at: seconds
                )
            if isLate { doubt(worker, &actions) }
        } else if first != nil {
            workers[worker]?.drops += 1
        }
    }

    /// Tells workers whose lease on a unit is over that nobody waits for it any more.
    private func abandonFormer(
        _ id: UnitID,
        _ unit: Unit,
        but worker: WorkerID?,
        _ actions: inout [Action]
    ) {
        for other in unit.former where other != worker {
            guard let there = workers[other], !there.holds(id) else { continue }
            actions.append(.abandon(id, at: other))
        }
    }

    /// Counts a bad answer against the unit and against the worker.
    mutating func refuse(
        _ id: UnitID,
        by worker: WorkerID,
        _ reason: String,
        _ actions: inout [Action]
    ) {
        workers[worker]?.lastHeard = now
        guard let sender = workers[worker], !sender.isSetAside else { return }
        let wasFormer = batch?.units[id]?.former.contains(worker) == true
        guard sender.holds(id) || wasFormer else { return }
        batch?.units[id]?.former.removeAll { $0 == worker }
        release(id, from: worker)
        workers[worker]?.strikes += 1
        if let strikes = workers[worker]?.strikes, strikes >= policy.strikes {
            setAside(worker, &actions)
        }
        charge(id, Casualty(worker: worker, cause: .refused(reason)), &actions)
    }

    /// Remembers a failed attempt; too many of them end the batch.
    mutating func charge(_ id: UnitID, _ casualty: Casualty, _ actions: inout [Action]) {
        guard let unit = batch?.units[id], !unit.isDone else { return }
        batch?.units[id]?.casualties.append(casualty)
        guard unit.casualties.count + 1 >= policy.casualties else { return }
        close(&actions)
        actions.append(.failed(id, unit.casualties + [casualty]))
    }

    /// Takes a unit out of a worker's hands; it waits again if nobody else has it.
    mutating func release(_ id: UnitID, from worker: WorkerID) {
        drop(id, from: worker)
        guard var unit = batch?.units[id], unit.holders.contains(worker) else { return }
        unit.holders.removeAll { $0 == worker }
        batch?.units[id] = unit
        if unit.holders.isEmpty, !unit.isDone { wait(id) }
    }

    /// Takes a unit out of a worker's hands; whose it is then is the caller's business.
    private mutating func drop(_ id: UnitID, from worker: WorkerID) {
        guard let place = workers[worker]?.held.firstIndex(where: { $0.unit == id }) else {
            return
        }
        workers[worker]?.held.remove(at: place)
        if place == 0 { workers[worker]?.speed.begin(at: seconds, idle: false) }
    }

    private mutating func wait(_ id: UnitID) {
        let place = batch?.waiting.firstIndex { $0 > id } ?? batch?.waiting.endIndex
        if let place { batch?.waiting.insert(id, at: place) }
    }

    /// Gives waiting units, in order, to the workers that would be done with them first.
    mutating func assignWaiting(_ actions: inout [Action]) {
        guard batch?.waiting.isEmpty == false else { return }
        if batch?.hasHomes == true { return assignHomes(&actions) }
        guard !assignPlainly(&actions) else { return }
        // No copy of the batch outlives this: changing it would copy all its units.
        guard let waiting = batch?.waiting,
            var outlook = batch.map({ Outlook(of: workers, $0, policy, at: seconds) })
        else { return }
        lastRate = outlook.rate
        guard outlook.hasRoom else { return }
        var left: [UnitID] = []
        for (place, id) in waiting.enumerated() {
            guard outlook.hasRoom else {
                left += waiting[place...]
                break
            }
            let isMarked = batch?.units[id]?.casualties.isEmpty == false
            let worker = outlook.take(among: waiting.count - place, insist: isMarked) { worker in
                isAllowed(id, worker)
            }
            if let worker { assign(id, to: worker, &actions) } else { left.append(id) }
        }
        batch?.waiting = left
    }

    /// The usual case, far from the end of a batch and with few workers to look at: whoever has room
    /// gets the first unit that waits.
    ///
    /// - Returns: whether that was all there was to do
    private mutating func assignPlainly(_ actions: inout [Action]) -> Bool {
        guard case .some(let touched) = scope, let kind = batch?.kind,
            let cost = batch?.typicalCost
        else { return false }
        for id in touched {
            while let unit = batch?.waiting.first, let worker = workers[id], worker.isActive,
                worker.room(kind, cost: cost, policy) > 0
            {
                guard let pace = worker.speed.pace(kind) else { return false }
                let own = pace * cost * Double(worker.held.count + 1)
                // What waits and what is in hand keeps the others busy for longer than that.
                let waiting = Double(batch?.waiting.count ?? 0)
                let inHand = Double(batch?.remaining ?? 0) - waiting
                guard waiting + inHand / 4 > own * lastRate + 1,
                    batch?.units[unit]?.casualties.isEmpty == true
                else { return false }
                batch?.waiting.removeFirst()
                assign(unit, to: id, &actions)
            }
        }
        return true
    }

    mutating func assign(_ id: UnitID, to worker: WorkerID, _ actions: inout [Action]) {
        guard let unit = batch?.units[id], let holder = workers[worker] else { return }
        workers[worker]?.credit -= 1
        if holder.held.isEmpty { workers[worker]?.speed.begin(at: seconds, idle: true) }
        let lease = Lease(unit: id, cost: unit.cost(at: worker), assigned: seconds)
        workers[worker]?.held.append(lease)
        batch?.units[id]?.holders.append(worker)
        batch?.units[id]?.attempts += 1
        actions.append(.assign(id, to: worker, attempt: unit.attempts + 1))
    }

    /// Whether the worker may have the unit: not if the unit went wrong there, unless it went wrong
    /// with everybody who is here. Whoever holds nothing and asks for nothing when a tick looks does not
    /// count: the unit would wait for it indefinitely.
    func isAllowed(_ id: UnitID, _ worker: WorkerID) -> Bool {
        guard let unit = batch?.units[id], unit.avoids(worker) else { return true }
        return !workers.contains { other, state in
            state.isActive && !unit.avoids(other)
                && (!isTick || state.credit > 0 || !state.held.isEmpty)
        }
    }
}
