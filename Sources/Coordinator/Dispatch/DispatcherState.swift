import Protocol

/// One connection of one worker: a worker that reconnects gets another id.
package struct WorkerID: Hashable, Comparable, Sendable, CustomStringConvertible {
    package let rawValue: Int

    package init(_ rawValue: Int) {
        self.rawValue = rawValue
    }

    package static func < (a: WorkerID, b: WorkerID) -> Bool { a.rawValue < b.rawValue }
    package var description: String { "w\(rawValue)" }
}

/// Decides who computes what. Events and a clock in, actions out: no socket, logger or thread.
///
/// Work comes in batches, one at a time: the views of a step, or tiles to decode. Views of the next steps may be added
/// to an open batch, and withdrawn while nobody computes them. States of a batch:
///
///                 submitted                       every unit done
///      ┌──────┐ ────────────▶ ┌─────────────────┐ ───────────────▶ complete ──┐
///      │ idle │     added ┌──▶│      open       │ nobody can compute a unit    │
///      └──────┘ ◀──────┐  └───│                 │ ───────────────▶ failed ─────┤
///                      │      │                 │ nobody for `grace`           │
///                      │      │                 │ ───────────────▶ deserted ───┤
///                      │      └─────────────────┘ cancelled ───────────────────┤
///                      └──────────────────────────────────────────────────────┘
///
/// States of a unit in it:
///
///                   assign                        answered (first answer: accept)
///      ┌─────────┐ ───────▶ ┌─────────────────┐ ─────────────────────────────────▶ ┌──────┐
///      │ waiting │          │ held by workers │ ─┐ copied: an idle worker would    │ done │
///      └─────────┘ ◀─────── └─────────────────┘ ◀┘ be first, or its holder is late └──────┘
///           ▲   refused, or its last holder left,     │ moved: an idle worker would
///           │   vanished, fell silent or let the      │ begin it sooner
///           │   lease run out                         │
///           └─────────────────────────────────────────┘
///
/// States of a worker:
///
///             joined                  lease over, or late and overtaken
///      (new) ────────▶ ┌──────────┐ ───────────────────────────────────▶ ┌──────────┐
///                      │  active  │                                      │ doubtful │
///                      └──────────┘ ◀─────────────────────────────────── └──────────┘
///                        │      │             answers, or asks             │      │
///                        │      │ 3 bad answers, or 3 leases over in a row │      │
///                        │      └──────────────▶ ┌───────────┐ ◀───────────┘      │
///                        │                       │ set aside │                    │
///                        │                       └───────────┘                    │
///                        │ left, vanished, silent      │                          │
///                        ▼                             ▼                          ▼
///                      (gone)                        (gone)                    (gone)
///
/// **Speed.** A worker's pace is its time for a unit of cost 1, measured from when a unit became the first that it
/// holds until its answer. Paces determine leases, and when a worker would finish one more unit.
///
/// **Credit and depth.** A worker asks for units. It is given no more than it asked for, and no more than it takes to
/// hide the round trip: one to compute, and as many as it computes while an answer and the next task are in transit.
///
/// **Batches of a worker.** A worker on a GPU computes several units together and says how many. It holds that many
/// more, its lease covers all of them, and its pace is their time divided by their number.
///
/// **The end of a batch.** A waiting unit goes to the worker that would finish it first. A worker gets none if the
/// others would finish everything that waits before it finished one more. If a batch has units of several ranks,
/// because units of a later step can be computed already, this holds for each rank: what is needed first goes to
/// workers that are fast enough for it, and the others take what comes after. When nothing waits, idle workers take
/// over units queued behind another one, and take copies of those that would otherwise finish last. The first answer
/// counts; later and duplicate ones are ignored.
///
/// **Homes.** A tile is evaluated in many batches, and a worker keeps its activations in between: the worker is the
/// tile's home. A unit of the tile goes there, and waits for it while it works; any other worker would have to start
/// over. A unit is assigned like any other if its home is lost, inactive or overdue, or holds nothing and asks for
/// nothing. New tiles are divided among the workers according to their paces. Since a home may also have lost the
/// activations, time limits are those of starting over.
///
/// **Trust.** A worker that has not answered yet is unproven. It holds one unit, its lease depends on the pace of
/// others, and an idle proven worker takes a copy of that unit once it is late. If no worker is proven, idle workers
/// take copies after `hedge`, and more of them the longer nobody answers. An answer counts only from a worker that was
/// given the unit; any other answer ends the worker's membership.
///
/// **Failures.** A unit that failed on a host goes to a proven worker of another host. It is given up when it has
/// failed on three proven hosts, or when no worker is left that might do better. A host that fails repeatedly is
/// paused, twice as long each time: its workers may join, but get no work while others work.
///
/// **Leases.** A worker that takes much longer than usual loses its units to others, even if it is alive. It gets no
/// more for a while, unless it answers or asks for more units than those that it had not begun. Its late answer is
/// accepted if nobody was faster.
///
/// **Relays.** Consecutive units overlap, and a relay is sent what they share only once, so its workers get
/// neighbouring units (`Strips`). This does not affect who gets how many, and when.
///
/// **Checks.** A unit may be one that another host has answered already. It does not go to workers of the sites that
/// may not have it, and nothing depends on it: if nobody may have it, or its first attempt fails, it is skipped. A site
/// that answered wrongly is distrusted: its workers get no work until it is trusted again.
package struct DispatcherState: Sendable {
    /// Kind of the units in a batch: workers have a separate pace for each kind.
    package enum Kind: Int, CaseIterable, Sendable {
        case views
        case tiles
    }

    /// Where a unit's tile is.
    package struct Home: Equatable, Sendable {
        /// The worker that keeps it; nil for a new tile.
        package let worker: WorkerID?
        /// The cost of the unit for any other worker.
        package let costElsewhere: Double

        package init(worker: WorkerID?, costElsewhere: Double) {
            (self.worker, self.costElsewhere) = (worker, costElsewhere)
        }
    }

    /// A unit that a worker holds.
    struct Lease: Sendable {
        let unit: UnitID
        let cost: Double
        /// Its cost if the worker has to start over, on which time limits are based.
        let maxCost: Double
        /// When it was assigned, in seconds.
        let assigned: Double
        /// Whether the worker was proven at that time.
        let isProven: Bool
    }

    /// Maximum number of units that a worker may compute together.
    static let largestBatch = 32

    struct Worker: Sendable {
        /// Number of its host: a string would cost reference counting whenever workers are scanned.
        let host: Int
        /// Number of its site: workers of one site are not independent of each other.
        let site: Int
        /// Whether workers of its site are sent what they share only once.
        let isRelayed: Bool
        var credit = 0
        /// Number of units that it computes together, with one wait for all of them.
        var batch = 1
        /// Units that it holds, in order of assignment: it computes the first.
        var held: [Lease] = []
        /// Whether it has given a good answer.
        var isProven = false
        /// Until when it gets no work because of earlier failures of its host.
        var pausedUntil: Duration?
        var strikes = 0
        /// Number of consecutive leases that expired.
        var overdue = 0
        /// Whether it was set aside after bad answers, or after none.
        var isStruck = false
        /// Whether answers of its site were wrong.
        var isDistrusted = false
        /// Whether it lost a lease and has not shown since that it is working.
        var isDoubtful = false
        /// How many times in a row it became doubtful, and when it last did.
        var doubts = 0
        var doubtedAt: Duration = .zero
        /// Units that were taken back and that it has probably not begun: dropping them proves nothing.
        var drops = 0
        var lastHeard: Duration
        /// When it last joined, asked or finished a unit.
        var lastActed: Duration
        var speed = WorkerSpeed()

        var isSetAside: Bool { isStruck || isDistrusted }
        /// Whether it gets work.
        var isActive: Bool { !isSetAside && !isDoubtful && pausedUntil == nil }
        /// Whether it has answered, and has let no lease expire since.
        var isReliable: Bool { isProven && overdue == 0 }
        /// Whether it has a unit, or may be given one now or soon: it asks for more after an answer.
        func isAvailable(at now: Duration, _ policy: Policy) -> Bool {
            isActive && (credit > 0 || !held.isEmpty || now - lastActed <= policy.probation)
        }

        /// Cost of the units that it computes together now.
        var headCost: Double { held.prefix(max(1, batch)).reduce(0) { $0 + $1.cost } }
        /// The same if it has kept no tiles.
        var maxHeadCost: Double { held.prefix(max(1, batch)).reduce(0) { $0 + $1.maxCost } }

        func holds(_ unit: UnitID) -> Bool { held.contains { $0.unit == unit } }
    }

    /// The state of a unit of the open batch.
    enum UnitState: Equatable, Sendable {
        /// No worker holds it.
        case waiting
        /// These workers hold it, the first holder first.
        case held(by: [WorkerID])
        /// It has been answered.
        case done
    }

    struct Unit: Sendable {
        /// Cost for its home, or for any worker if it has none.
        let cost: Double
        /// Cost for other workers.
        let costElsewhere: Double
        var home: WorkerID?
        /// Units of a lower rank are needed first.
        var rank = 0
        var state = UnitState.waiting
        /// Workers whose lease expired but that may still answer.
        var former: [WorkerID] = []
        var attempts = 0
        /// When it was first assigned, in seconds.
        var firstAssigned: Double?
        var failures: [UnitFailure] = []
        /// Hosts that it failed on, and whether they were proven.
        var failed: [Int: Bool] = [:]
        /// Hosts that were lost while they computed it.
        var lostHosts: Set<Int> = []
        /// When it first failed.
        var failedSince: Duration?
        /// The sites that may not have this check; nil for a unit that must be computed.
        var barred: Set<Int>?

        var isDone: Bool { state == .done }
        func cost(at worker: WorkerID) -> Double { worker == home ? cost : costElsewhere }
        /// Workers that hold it; if there are none, it waits.
        var holders: [WorkerID] {
            get { if case .held(let holders) = state { holders } else { [] } }
            set { state = newValue.isEmpty ? .waiting : .held(by: newValue) }
        }

        func failed(at worker: WorkerID) -> Bool { failures.contains { $0.worker == worker } }
    }

    struct Batch: Sendable {
        let kind: Kind
        var units: [UnitID: Unit]
        /// Open units without a holder, in order.
        var waiting: [UnitID]
        /// Number of open units.
        var remaining: Int
        /// Mean cost of the units for workers that are not their homes.
        let typicalCost: Double
        /// Whether units have homes.
        let hasHomes: Bool
        /// Units that are checks.
        var checks: [UnitID]
        /// Highest rank of its units.
        var rank = 0

        /// End of the waiting units that have the same rank as the one at `place`.
        func endOfRank(at place: Int) -> Int {
            guard let last = waiting.last, let rank = units[waiting[place]]?.rank,
                units[last]?.rank != rank
            else { return waiting.endIndex }
            var (low, high) = (place, waiting.endIndex - 1)
            while low < high {
                let middle = (low + high) / 2
                if units[waiting[middle]]?.rank == rank { low = middle + 1 } else { high = middle }
            }
            return low
        }
    }

    package let policy: Policy
    var workers: [WorkerID: Worker] = [:]
    /// What each worker was given recently, whatever became of it.
    var recent: [WorkerID: RecentAssignments] = [:]
    /// Hosts that failed recently, by number.
    var hosts: [Int: HostRecord] = [:]
    /// Numbers of hosts and sites; unused ones are dropped when there are many.
    var hostNumbers: [HostID: Int] = [:]
    var nextHost = 0
    /// Sites that get no work.
    var distrusted: Set<HostID> = []
    var batch: Batch?
    /// Since when the open batch has had no active worker.
    var idleSince: Duration?
    var isClosed = false
    /// The sum of all advances of the clock, none longer than `policy.stall`.
    var now: Duration = .zero
    /// The same time in seconds.
    var seconds = 0.0
    var lastTime: Duration?
    /// Workers that the current event may have given something to do.
    var scope = Scope.all
    /// Throughput of all workers, in units per second, when it was last computed.
    var lastRate = 0.0
    /// When idle workers of a large fleet were last looked for.
    var lastLookAtIdle = -Double.infinity
    var history = DispatcherHistory()
    /// Moving average of recent round-trip times, in seconds.
    var trips = 0.0
    var lossRate = LossRate()
    var remembered = RememberedSpeeds()
    /// Whether a worker is behind a relay.
    var hasRelays = false
    /// Used only if there are relays.
    var strips = Strips()

    enum Scope: Equatable, Sendable {
        case all
        case some([WorkerID])
    }

    /// Marks a worker as affected.
    mutating func touch(_ id: WorkerID) {
        if case .some(let workers) = scope { scope = .some(workers + [id]) }
    }

    package init(policy: Policy = Policy()) {
        self.policy = policy
    }

    /// Handles one event.
    ///
    /// - Parameters:
    ///   - event: what happened; events for unknown workers and units have no effect
    ///   - time: time of a clock, which may jump
    /// - Returns: what to do, in this order
    package mutating func handle(_ event: Event, at time: Duration) -> [Action] {
        advance(to: time)
        var actions: [Action] = []
        switch event {
        case .answered, .asked, .batches, .heard: scope = .some([])
        default: scope = .all
        }
        switch event {
        case .submitted(let units, let costs, let kind, let homes, let checks, let ranks):
            submit(units, costs, kind, homes, checks, ranks)
        case .added(let units, let rank, let costs, let checks):
            add(units, rank, costs, checks)
        case .withdrawn(let units): withdraw(units, &actions)
        case .cancelled: close(&actions)
        case .joined(let id, let host, let site, let isRelayed):
            join(id, from: host ?? HostID(id), site, isRelayed, &actions)
        case .distrusted(let site): distrust(site, &actions)
        case .trusted(let site): trust(site)
        case .asked(let id, let units): ask(id, units)
        case .batches(let id, let units): gather(id, units)
        case .heard(let id): workers[id]?.lastHeard = now
        case .answered(let unit, let id, let spent): accept(unit, from: id, spent, &actions)
        case .refused(let unit, let id, let reason): refuse(unit, by: id, reason, &actions)
        case .missed(let unit, let id): miss(unit, by: id, &actions)
        case .lost(let id, let loss): lose(id, loss, &actions)
        case .closed: isClosed = true
        case .tick:
            evictSilent(&actions)
            endLeases(&actions)
            endDoubts()
            endPauses()
            endPausesIfNoneIsActive()
        }
        if scope == .all { hasRelays = workers.values.contains { $0.isRelayed } }
        assignWaiting(&actions)
        skipHopelessChecks(&actions)
        occupyIdle(&actions)
        giveUpIfNoWorkersAreLeft(&actions)
        history.record(event, actions, at: time)
        return actions
    }

    /// Whether a batch is open.
    package var isBusy: Bool { batch != nil }

    /// Known units of the batch, including answered ones.
    package var unitsInBatch: Int { batch?.units.count ?? 0 }

    /// Units of the batch that have no answer yet.
    var unitsLeft: Int { batch?.remaining ?? 0 }
    /// Workers that get work.
    package var activeWorkers: [WorkerID] {
        workers.filter { $0.value.isActive }.keys.sorted()
    }
    /// Units that the worker holds, starting with the one that it computes.
    package func held(by worker: WorkerID) -> [UnitID] {
        workers[worker]?.held.map(\.unit) ?? []
    }
    /// The last events and the resulting actions, one per line.
    package var trace: String { history.description }

    private mutating func advance(to time: Duration) {
        let step = time - (lastTime ?? time)
        now += min(max(.zero, step), policy.stall)
        seconds = now / .seconds(1)
        lastTime = time
    }
}
