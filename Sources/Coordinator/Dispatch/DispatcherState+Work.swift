import Protocol

// Batches and units.

extension DispatcherState {
    mutating func submit(
        _ units: [UnitID],
        _ costs: [Double],
        _ kind: Kind,
        _ homes: [Home],
        _ checks: [UnitID: Set<HostID>],
        _ ranks: [Int]
    ) {
        precondition(batch == nil, "a batch is open already\n\(trace)")
        precondition(costs.isEmpty || costs.count == units.count, "\(costs.count) costs")
        precondition(homes.isEmpty || homes.count == units.count, "\(homes.count) homes")
        precondition(ranks.isEmpty || ranks.count == units.count, "\(ranks.count) ranks")
        guard !units.isEmpty else { return }
        let each = units.enumerated().map { place, id in
            let cost = costs.isEmpty ? 1 : max(1e-6, costs[place])
            let home = homes.isEmpty ? nil : homes[place]
            let elsewhere = max(cost, home?.costElsewhere ?? cost)
            var unit = Unit(cost: cost, costElsewhere: elsewhere, home: home?.worker)
            // Before the batch exists, because this assigns numbers to new names.
            unit.barred = checks[id].map { Set($0.map { number($0) }) }
            unit.rank = ranks.isEmpty ? 0 : ranks[place]
            return (id, unit)
        }
        batch = Batch(
            kind: kind,
            units: Dictionary(uniqueKeysWithValues: each),
            waiting: units.sorted(),
            remaining: units.count,
            typicalCost: each.reduce(0) { $0 + $1.1.costElsewhere } / Double(each.count),
            hasHomes: !homes.isEmpty,
            checks: checks.keys.sorted(),
            rank: ranks.max() ?? 0
        )
        idleSince = nil
        if !homes.isEmpty { planHomes() }
    }

    /// Adds units to the open batch; if there is none, nobody waits for them.
    mutating func add(
        _ units: [UnitID],
        _ rank: Int,
        _ costs: [Double],
        _ checks: [UnitID: Set<HostID>]
    ) {
        guard !units.isEmpty, let before = batch?.waiting, let kind = batch?.kind else { return }
        precondition(kind == .views, "tiles are of one rank\n\(trace)")
        precondition(costs.isEmpty || costs.count == units.count, "\(costs.count) costs")
        if let last = batch?.rank, rank > last {
            // A long series of steps is one batch: units that are done are forgotten.
            let open = batch?.units.filter { !$0.value.isDone } ?? [:]
            batch?.units = open
            batch?.checks.removeAll { open[$0] == nil }
            batch?.rank = rank
        }
        for (place, id) in units.enumerated() {
            precondition(batch?.units[id] == nil, "\(id) again\n\(trace)")
            let cost = costs.isEmpty ? 1 : max(1e-6, costs[place])
            var unit = Unit(cost: cost, costElsewhere: cost, home: nil)
            unit.rank = rank
            unit.barred = checks[id].map { Set($0.map { number($0) }) }
            batch?.units[id] = unit
        }
        batch?.checks += checks.keys.sorted()
        batch?.waiting = (before + units).sorted()
        batch?.remaining += units.count
    }

    /// Drops waiting units of the open batch.
    mutating func withdraw(_ units: [UnitID], _ actions: inout [Action]) {
        for id in units where batch?.units[id]?.state == .waiting {
            batch?.units[id] = nil
            batch?.waiting.removeAll { $0 == id }
            batch?.remaining -= 1
            actions.append(.drop(id))
        }
        if batch?.remaining == 0 {
            close(&actions)
            actions.append(.complete)
        }
    }

    /// Ends the batch; units that are still held are no longer wanted.
    mutating func close(_ actions: inout [Action]) {
        guard let ended = batch else { return }
        batch = nil
        idleSince = nil
        strips = Strips()
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

    /// Accepts the first answer to a unit, from any worker that was given the unit.
    mutating func accept(
        _ id: UnitID,
        from worker: WorkerID,
        _ spent: Duration?,
        _ actions: inout [Action]
    ) {
        guard workers[worker] != nil else { return }
        guard let answered = recent[worker]?.takeAnswer(id) else {
            return expel(worker, because: id, &actions)
        }
        workers[worker]?.lastHeard = now
        guard let sender = workers[worker], answered.isFirst else { return }
        workers[worker]?.lastActed = now
        workers[worker]?.isDoubtful = false
        workers[worker]?.overdue = 0
        workers[worker]?.doubts = 0
        touch(worker)
        // Answers to finished batches were not checked, so they prove nothing.
        if batch?.units[id] != nil { note(answered.lease, by: worker, sender, spent) }
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
        batch?.units[id]?.former = []
        batch?.units[id]?.state = .done
        if unit.holders.isEmpty { batch?.waiting.removeAll { $0 == id } }
        batch?.remaining -= 1
        if batch?.remaining == 0 {
            close(&actions)
            actions.append(.complete)
        }
    }

    /// Records a good answer: how long it took, and that the worker is reliable. `sender` is the worker's state before
    /// it.
    private mutating func note(
        _ lease: Lease,
        by worker: WorkerID,
        _ sender: Worker,
        _ spent: Duration?
    ) {
        guard let kind = batch?.kind else { return }
        if let first = sender.held.first, first.unit == lease.unit {
            workers[worker]?.speed.finish(
                cost: first.cost,
                kind,
                assigned: first.assigned,
                spent: spent.map { $0 / .seconds(1) },
                isBatched: sender.batch > 1,
                at: seconds
            )
            lossRate.noteAnswer()
            if let trip = workers[worker]?.speed.lastTrip { trips += 0.1 * (trip - trips) }
        } else if !sender.isProven {
            // The worker lost the unit before, so it is at least that slow.
            workers[worker]?.speed.interrupt(
                cost: lease.maxCost,
                kind,
                isLate: true,
                since: lease.assigned,
                at: seconds
            )
        }
        workers[worker]?.isProven = true
        cancelFailure(of: sender.host)
    }

    /// Another worker was faster with a unit. A worker that was late with it becomes doubtful.
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
                    cost: slow.maxHeadCost,
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

    /// Tells workers whose lease on a unit has expired that nobody waits for it any longer.
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

    /// Takes a unit away from a worker; it waits again if nobody else holds it.
    mutating func release(_ id: UnitID, from worker: WorkerID) {
        drop(id, from: worker)
        guard var unit = batch?.units[id], unit.holders.contains(worker) else { return }
        unit.holders.removeAll { $0 == worker }
        batch?.units[id] = unit
        if unit.holders.isEmpty, !unit.isDone { wait(id) }
    }

    /// Takes a unit away from a worker; the caller decides who gets it.
    private mutating func drop(_ id: UnitID, from worker: WorkerID) {
        guard let place = workers[worker]?.held.firstIndex(where: { $0.unit == id }) else {
            return
        }
        workers[worker]?.held.remove(at: place)
        guard place == 0, let since = workers[worker]?.speed.since else { return }
        lossRate.note(seconds: seconds - since)
        workers[worker]?.speed.begin(at: seconds, idle: false)
    }

    private mutating func wait(_ id: UnitID) {
        let place = batch?.waiting.firstIndex { $0 > id } ?? batch?.waiting.endIndex
        if let place { batch?.waiting.insert(id, at: place) }
    }

    /// Assigns waiting units, in order, to the workers that would finish them first.
    mutating func assignWaiting(_ actions: inout [Action]) {
        guard batch?.waiting.isEmpty == false else { return }
        if batch?.hasHomes == true {
            assignHome(&actions)
            guard batch?.waiting.contains(where: { !waitsForHome($0) }) == true else { return }
        } else if assignPlainly(&actions) {
            return
        }
        // The batch must not be copied here: modifying it would then copy all its units.
        guard let waiting = batch?.waiting,
            var outlook = batch.map({ Outlook(of: workers, $0, policy, at: seconds) })
        else { return }
        lastRate = outlook.rate
        guard outlook.hasRoom else { return }
        var left: [UnitID] = []
        var start = waiting.startIndex
        while start < waiting.endIndex {
            let end = batch?.endOfRank(at: start) ?? waiting.endIndex
            outlook.considerSlow()
            left += assign(waiting[start..<end], &outlook, &actions)
            start = end
        }
        batch?.waiting = left
    }

    /// Assigns waiting units of one rank.
    ///
    /// - Returns: units that nobody gets now
    private mutating func assign(
        _ units: ArraySlice<UnitID>,
        _ outlook: inout Outlook,
        _ actions: inout [Action]
    ) -> [UnitID] {
        let hasStrips = hasRelays && batch?.hasHomes == false
        var left: [UnitID] = []
        // Workers that get interchangeable units, listed once for each unit.
        var takers: [WorkerID] = []
        for (place, id) in zip(units.indices, units) {
            guard outlook.hasRoom else {
                left += units[place...]
                break
            }
            if waitsForHome(id) {
                left.append(id)
                continue
            }
            let isMarked = batch?.units[id]?.failures.isEmpty == false
            let worker = outlook.take(among: units.endIndex - place, insist: isMarked) { worker in
                isAllowed(id, worker)
            }
            guard let worker, !hasStrips || !isPlain(id) else {
                left.append(id)
                if let worker { takers.append(worker) }
                continue
            }
            assign(id, to: worker, &actions)
        }
        guard !takers.isEmpty else { return left }
        var open = left.filter(isPlain)
        for worker in takers {
            let id = open.remove(at: place(for: worker, among: open[...]))
            assign(id, to: worker, &actions)
        }
        let rest = Set(open)
        return left.filter { !isPlain($0) || rest.contains($0) }
    }

    /// Whether any worker may have the unit.
    private func isPlain(_ id: UnitID) -> Bool {
        guard let unit = batch?.units[id] else { return false }
        return unit.failures.isEmpty && unit.barred == nil && unit.home == nil
    }

    /// Index of the unit that is best sent to the worker's site, among interchangeable units of one rank.
    private mutating func place(for worker: WorkerID, among units: ArraySlice<UnitID>) -> Int {
        let rank = units.first.flatMap { batch?.units[$0]?.rank } ?? 0
        let site = workers[worker].flatMap { $0.isRelayed ? $0.site : nil }
        return strips.take(for: site, from: units, rank: rank)
    }

    /// The common case, far from the end of a batch and with few workers to consider: any worker with room
    /// gets the first waiting unit, or a neighbour of what its site has.
    ///
    /// - Returns: whether nothing is left to do
    private mutating func assignPlainly(_ actions: inout [Action]) -> Bool {
        guard case .some(let touched) = scope, let kind = batch?.kind,
            let cost = batch?.typicalCost
        else { return false }
        for id in touched {
            while let first = batch?.waiting.first, let worker = workers[id], worker.isActive,
                worker.room(kind, cost: cost, policy, at: seconds) > 0
            {
                guard let pace = worker.speed.pace(kind) else { return false }
                let own = pace * cost * Double(worker.held.count + 1)
                // The waiting and assigned units must keep the others busy for longer than that.
                let all = batch?.waiting.count ?? 0
                let inHand = Double((batch?.remaining ?? 0) - all)
                let waiting = batch?.endOfRank(at: 0) ?? all
                guard Double(waiting) + inHand / 4 > own * lastRate + 1, isPlain(first) else {
                    return false
                }
                var place = 0
                if hasRelays, let units = batch?.waiting[..<waiting] {
                    place = self.place(for: id, among: units)
                }
                guard let unit = batch?.waiting[place], isPlain(unit) else { return false }
                batch?.waiting.remove(at: place)
                assign(unit, to: id, &actions)
            }
        }
        return true
    }

    mutating func assign(_ id: UnitID, to worker: WorkerID, _ actions: inout [Action]) {
        guard let unit = batch?.units[id], let holder = workers[worker] else { return }
        workers[worker]?.credit -= 1
        if holder.held.isEmpty { workers[worker]?.speed.begin(at: seconds, idle: true) }
        let lease = Lease(
            unit: id,
            cost: unit.cost(at: worker),
            maxCost: unit.costElsewhere,
            assigned: seconds,
            isProven: holder.isProven
        )
        workers[worker]?.held.append(lease)
        recent[worker]?.add(lease)
        if unit.firstAssigned == nil { batch?.units[id]?.firstAssigned = seconds }
        batch?.units[id]?.holders.append(worker)
        batch?.units[id]?.attempts += 1
        actions.append(.assign(id, to: worker, attempt: unit.attempts + 1))
    }

    /// Whether the worker may have the unit. A unit that failed goes to a proven worker of another host, or else to any
    /// worker of another host, or else to another worker, and only then back to one that it failed on.
    func isAllowed(_ id: UnitID, _ worker: WorkerID) -> Bool {
        guard let unit = batch?.units[id], !unit.failures.isEmpty || unit.barred != nil,
            let own = workers[worker]
        else { return true }
        if let barred = unit.barred { return !barred.contains(own.site) }
        func rank(_ id: WorkerID, _ worker: Worker) -> Int {
            if unit.failed[worker.host] == nil { return worker.isProven ? 0 : 1 }
            return unit.failed(at: id) ? 3 : 2
        }
        let limit = rank(worker, own)
        return limit == 0
            || !workers.contains {
                $0.value.isAvailable(at: now, policy) && rank($0.key, $0.value) < limit
            }
    }
}
