import Protocol

// Batches and units.

extension DispatcherState {
    mutating func submit(_ units: [UnitID]) {
        precondition(batch == nil, "a batch is open already\n\(story)")
        guard !units.isEmpty else { return }
        batch = Batch(
            units: Dictionary(uniqueKeysWithValues: units.map { ($0, Unit()) }),
            waiting: units.sorted(),
            remaining: units.count
        )
        desertedSince = nil
    }

    /// Ends the batch; whatever is held is no longer wanted.
    mutating func close(_ actions: inout [Action]) {
        batch = nil
        desertedSince = nil
        for id in workers.keys.sorted() {
            for unit in workers[id]?.held ?? [] { actions.append(.abandon(unit, at: id)) }
            workers[id]?.held = []
        }
    }

    /// Takes the first answer to a unit, from whomever it comes.
    mutating func accept(_ id: UnitID, from worker: WorkerID, _ actions: inout [Action]) {
        guard let sender = workers[worker] else { return }
        workers[worker]?.lastHeard = now
        release(id, from: worker)
        guard !sender.isSetAside, let unit = batch?.units[id], !unit.isDone else { return }
        actions.append(.accept(id))
        for other in unit.holders where other != worker {
            workers[other]?.held.removeAll { $0 == id }
            actions.append(.abandon(id, at: other))
        }
        batch?.units[id]?.holders = []
        batch?.units[id]?.isDone = true
        batch?.waiting.removeAll { $0 == id }
        batch?.remaining -= 1
        if batch?.remaining == 0 {
            close(&actions)
            actions.append(.complete)
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
        guard workers[worker]?.held.contains(id) == true else { return }
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
        workers[worker]?.held.removeAll { $0 == id }
        guard var unit = batch?.units[id], unit.holders.contains(worker) else { return }
        unit.holders.removeAll { $0 == worker }
        batch?.units[id] = unit
        if unit.holders.isEmpty, !unit.isDone { wait(id) }
    }

    private mutating func wait(_ id: UnitID) {
        let place = batch?.waiting.firstIndex { $0 > id } ?? batch?.waiting.endIndex
        if let place { batch?.waiting.insert(id, at: place) }
    }

    /// Gives waiting units, in order, to the workers that hold least.
    mutating func assignWaiting(_ actions: inout [Action]) {
        guard let waiting = batch?.waiting, !waiting.isEmpty else { return }
        var queue = WorkerQueue(
            workers.filter { !$0.value.isSetAside && $0.value.credit > 0 }
                .map { .init(held: $0.value.held.count, credit: $0.value.credit, id: $0.key) }
        )
        var left: [UnitID] = []
        for id in waiting {
            if let worker = queue.take(where: { isAllowed(id, $0) }) {
                assign(id, to: worker, &actions)
            } else {
                left.append(id)
            }
        }
        batch?.waiting = left
    }

    private mutating func assign(_ id: UnitID, to worker: WorkerID, _ actions: inout [Action]) {
        workers[worker]?.credit -= 1
        workers[worker]?.held.append(id)
        batch?.units[id]?.holders.append(worker)
        batch?.units[id]?.attempts += 1
        actions.append(.assign(id, to: worker, attempt: batch?.units[id]?.attempts ?? 0))
    }

    /// Whether the worker may have the unit: not if the unit went wrong there, unless it went wrong
    /// with everybody who is here.
    func isAllowed(_ id: UnitID, _ worker: WorkerID) -> Bool {
        guard let unit = batch?.units[id], unit.avoids(worker) else { return true }
        return !workers.contains { !$0.value.isSetAside && !unit.avoids($0.key) }
    }

    /// Moves units that wait behind another one to workers that have nothing to do.
    mutating func moveToIdle(_ actions: inout [Action]) {
        guard let batch, batch.waiting.isEmpty else { return }
        let idle = workers.filter {
            !$0.value.isSetAside && $0.value.credit > 0 && $0.value.held.isEmpty
        }.keys.sorted()
        for worker in idle {
            let longest = workers.filter { $0.value.held.count > 1 }
                .max { ($0.value.held.count, $1.key) < ($1.value.held.count, $0.key) }
            guard let (owner, queue) = longest, let id = queue.held.last else { break }
            guard isAllowed(id, worker) else { continue }
            workers[owner]?.held.removeLast()
            self.batch?.units[id]?.holders.removeAll { $0 == owner }
            actions.append(.abandon(id, at: owner))
            assign(id, to: worker, &actions)
        }
    }
}

/// Workers with credit, those that hold least first.
private struct WorkerQueue {
    struct Entry {
        var held: Int
        var credit: Int
        let id: WorkerID
    }

    private var entries: [Entry]

    init(_ entries: [Entry]) {
        self.entries = entries.sorted { ($0.held, $0.id) < ($1.held, $1.id) }
    }

    /// Takes one credit of the first worker that is allowed.
    mutating func take(where allowed: (WorkerID) -> Bool) -> WorkerID? {
        guard let place = entries.firstIndex(where: { allowed($0.id) }) else { return nil }
        var entry = entries.remove(at: place)
        entry.held += 1
        entry.credit -= 1
        if entry.credit > 0 { insert(entry) }
        return entry.id
    }

    private mutating func insert(_ entry: Entry) {
        var (low, high) = (0, entries.count)
        while low < high {
            let middle = (low + high) / 2
            let other = entries[middle]
            if (other.held, other.id) < (entry.held, entry.id) {
                low = middle + 1
            } else {
                high = middle
            }
        }
        entries.insert(entry, at: low)
    }
}
