import Protocol

/// When each active worker will finish what it holds, according to its pace, and thus who should get the next unit.
/// Times are in seconds.
struct Outlook {
    /// A worker that holds something or may be given something.
    private struct Entry {
        let id: WorkerID
        /// Time for a unit of typical cost; that of the others if its own is unknown.
        let pace: Double
        let isKnown: Bool
        /// Whether it has answered anything.
        let isProven: Bool
        /// Whether its estimate is reliable.
        let isReliable: Bool
        /// Time from its answer until it has another task.
        let trip: Double
        /// When it will have finished what it holds.
        var free: Double
        /// How many more units it may hold.
        var room: Int

        /// When it would finish one more unit.
        var next: Double { free + pace }
    }

    private var entries: [Entry] = []
    /// Indices into `entries` of workers with room, starting with the one that would finish first.
    private var queue: [Int] = []
    private let now: Double
    private var hasOnlySlow = false
    /// Throughput of all workers, in units per second.
    private(set) var rate = 0.0

    init(
        of workers: [WorkerID: DispatcherState.Worker],
        _ batch: DispatcherState.Batch,
        _ policy: DispatcherState.Policy,
        at now: Double
    ) {
        self.now = now
        entries.reserveCapacity(workers.count)
        let reference = workers.values.referencePace(batch.kind)
        for (id, worker) in workers where worker.isActive {
            guard !worker.held.isEmpty || worker.credit > 0 else { continue }
            let pace = worker.speed.pace(batch.kind)
            let isLate = worker.isLate(batch.kind, policy, reference: reference, at: now)
            let entry = Entry(
                id: id,
                pace: worker.time(for: batch.typicalCost, batch.kind, reference: reference),
                isKnown: pace != nil,
                isProven: worker.isProven,
                isReliable: worker.isProven && pace != nil && !isLate,
                trip: worker.speed.roundTrip ?? 0,
                free: worker.free(batch.kind, reference: reference, at: now),
                room: worker.room(batch.kind, cost: batch.typicalCost, policy, at: now)
            )
            if entry.room > 0 { queue.append(entries.count) }
            if entry.isReliable { rate += 1 / entry.pace }
            entries.append(entry)
        }
        queue = queue.sorted { precedes($0, $1) }
    }

    var hasRoom: Bool { !queue.isEmpty }

    /// Considers slow workers again for units of another rank: a worker that was too slow before may be in time for
    /// these.
    mutating func considerSlow() { hasOnlySlow = false }

    /// Assigns a unit to the worker that would finish it first.
    ///
    /// - Parameters:
    ///   - count: waiting units of its rank, including this one
    ///   - insist: whether to assign it even to a worker that will delay the batch, unless another allowed worker would
    ///     finish it sooner, after what it holds
    ///   - allowed: whether the worker may have the unit
    /// - Returns: nil if nobody may have it now, or everybody who may would delay the batch
    mutating func take(
        among count: Int,
        insist: Bool,
        where allowed: (WorkerID) -> Bool
    ) -> WorkerID? {
        if hasOnlySlow, !insist { return nil }
        guard let place = queue.firstIndex(where: { allowed(entries[$0].id) }) else { return nil }
        let index = queue[place]
        if insist {
            // The unit has lost time already, and a step ends with its last unit.
            if isAnyoneSooner(than: index, where: allowed) { return nil }
        } else {
            // Every later call has fewer waiting units, so a worker that is too slow stays too slow.
            hasOnlySlow = hasOnlySlow || (place == 0 && isTooSlow(index, for: count))
            if hasOnlySlow { return nil }
        }
        queue.remove(at: place)
        entries[index].free = entries[index].next
        entries[index].room -= 1
        if entries[index].room > 0 { insert(index) }
        return entries[index].id
    }

    /// Whether a reliable worker that has no room yet, but may have the unit, would finish it sooner.
    private func isAnyoneSooner(than index: Int, where allowed: (WorkerID) -> Bool) -> Bool {
        let own = entries[index].next
        return entries.contains { other in
            other.room == 0 && other.isReliable && other.next + other.trip < own
                && allowed(other.id)
        }
    }

    /// Whether the others would finish all waiting units before this worker finishes one more.
    private func isTooSlow(_ index: Int, for count: Int) -> Bool {
        let entry = entries[index]
        guard entry.isKnown, Double(count) <= (entry.next - now) * rate else { return false }
        var done = 0.0
        for (other, worker) in entries.enumerated() where other != index && worker.isReliable {
            let time = entry.next - worker.free - worker.trip
            // Strictly before: of two equally fast workers, one gets the last unit.
            done += max(0, (time / worker.pace - 1e-6).rounded(.up) - 1)
        }
        return done >= Double(count)
    }

    /// Orders workers by when they would finish; ties go to the proven one, then to the one that joined first.
    private func precedes(_ a: Int, _ b: Int) -> Bool {
        let (first, second) = (entries[a].next, entries[b].next)
        if first != second { return first < second }
        if entries[a].isProven != entries[b].isProven { return entries[a].isProven }
        return entries[a].id < entries[b].id
    }

    private mutating func insert(_ index: Int) {
        var (low, high) = (0, queue.count)
        while low < high {
            let middle = (low + high) / 2
            if precedes(queue[middle], index) { low = middle + 1 } else { high = middle }
        }
        queue.insert(index, at: low)
    }
}

extension DispatcherState.Worker {
    /// How many more units it may hold.
    func room(
        _ kind: DispatcherState.Kind,
        cost: Double,
        _ policy: DispatcherState.Policy,
        at now: Double
    ) -> Int {
        let depth =
            isProven ? speed.depth(cost: cost, kind, policy.depths) : policy.firstDepth
        // The next batch should have arrived when one is done.
        let ahead = isProven && batch > 1 ? 2 * batch : 0
        let room = min(credit, max(depth, ahead) - held.count)
        guard kind == .views, isProven, batch == 1, room > 0, let pace = speed.pace(kind) else {
            return room
        }
        let lead = speed.lead(pace: pace, policy)
        if free(kind, reference: pace, at: now) - now > lead { return 0 }
        // One more will keep it busy for long enough.
        return pace * cost > lead ? 1 : room
    }

    /// Its time for a unit, by its own pace or that of others; if no pace is known, all workers are assumed to be
    /// equal.
    func time(for cost: Double, _ kind: DispatcherState.Kind, reference: Double?) -> Double {
        speed.time(for: cost, kind, reference: reference) ?? cost
    }

    /// When it finishes what it holds.
    func free(_ kind: DispatcherState.Kind, reference: Double?, at now: Double) -> Double {
        guard !held.isEmpty else { return now }
        let head = max(now, speed.since + time(for: headCost, kind, reference: reference))
        var rest = 0.0
        for place in held.indices.dropFirst(batch) { rest += held[place].cost }
        return head + time(for: rest, kind, reference: reference)
    }

    /// Whether its first unit takes much longer than usual.
    func isLate(
        _ kind: DispatcherState.Kind,
        _ policy: DispatcherState.Policy,
        reference: Double?,
        at now: Double
    ) -> Bool {
        guard !held.isEmpty, speed.pace(kind) ?? reference != nil else { return false }
        let usual = time(for: maxHeadCost, kind, reference: reference) + (speed.roundTrip ?? 0)
        return now - speed.since
            > max(policy.minDelay / .seconds(1), policy.lateFactor * usual)
    }
}

extension Collection<DispatcherState.Worker> {
    /// Mean of all known paces of proven workers, if there are any. The pace of tiles is estimated from that of views
    /// if no tile has been evaluated yet.
    func referencePace(_ kind: DispatcherState.Kind) -> Double? {
        if let mean = meanPace(kind) { return mean }
        return kind == .tiles ? meanPace(.views).map { $0 * tilesPerView } : nil
    }

    /// Mean pace of proven workers; guesses count only if there is nothing else.
    private func meanPace(_ kind: DispatcherState.Kind) -> Double? {
        var (sums, counts) = ((measured: 0.0, guessed: 0.0), (measured: 0, guessed: 0))
        for worker in self where worker.isProven {
            guard let pace = worker.speed.pace(kind) else { continue }
            if worker.speed.isGuess(kind) {
                sums.guessed += pace
                counts.guessed += 1
            } else {
                sums.measured += pace
                counts.measured += 1
            }
        }
        if counts.measured > 0 { return sums.measured / Double(counts.measured) }
        return counts.guessed > 0 ? sums.guessed / Double(counts.guessed) : nil
    }

    /// Maximum ratio of the time to decode a latent pixel to the time to predict it: 1.3 with
    /// SDXL, 10 with the small default model.
    private var tilesPerView: Double { 32 }
}

extension DispatcherState {
    func referencePace(_ kind: Kind) -> Double? { workers.values.referencePace(kind) }

    func isLate(_ worker: Worker, _ kind: Kind, reference: Double?) -> Bool {
        worker.isLate(kind, policy, reference: reference, at: seconds)
    }
}
