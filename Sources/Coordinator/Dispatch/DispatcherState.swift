import Protocol

/// One connection of one worker: a worker that comes back gets another.
package struct WorkerID: Hashable, Comparable, Sendable, CustomStringConvertible {
    package let rawValue: Int

    package init(_ rawValue: Int) {
        self.rawValue = rawValue
    }

    package static func < (a: WorkerID, b: WorkerID) -> Bool { a.rawValue < b.rawValue }
    package var description: String { "w\(rawValue)" }
}

/// Chooses who computes what. Events and a clock in, actions out: no socket, logger or thread.
///
/// Work comes in batches, one at a time: the views of a step, or tiles to decode. Of a batch:
///
///                 submitted                       every unit done
///      ┌──────┐ ────────────▶ ┌─────────────────┐ ───────────────▶ complete ──┐
///      │ idle │               │      open       │ a unit failed 3 times        │
///      └──────┘ ◀──────┐      │                 │ ───────────────▶ failed ─────┤
///                      │      │                 │ nobody for `grace`           │
///                      │      │                 │ ───────────────▶ deserted ───┤
///                      │      └─────────────────┘ cancelled ───────────────────┤
///                      └──────────────────────────────────────────────────────┘
///
/// Of a unit in it:
///
///                   assign                        answered (first answer: accept)
///      ┌─────────┐ ───────▶ ┌─────────────────┐ ─────────────────────────────────▶ ┌──────┐
///      │ waiting │          │ held by workers │                                    │ done │
///      └─────────┘ ◀─────── └─────────────────┘                                    └──────┘
///           refused, or its last holder left, vanished or fell silent
///
/// Of a worker:
///
///             joined                   3 bad answers
///      (new) ────────▶ ┌──────────┐ ────────────────▶ ┌───────────┐
///                      │  active  │                   │ set aside │
///                      └──────────┘                   └───────────┘
///                            │ left, vanished, silent       │ left, vanished, silent
///                            ▼                              ▼
///                         (gone)                         (gone)
///
/// A worker has credit: it asks for units and is given no more than it asked for, so a fast worker
/// gets more. Units that wait behind another one move to a worker that has nothing to do. Answers
/// count once; whatever comes later or twice is ignored.
package struct DispatcherState: Sendable {
    /// Limits that decide what is given up, and when.
    package struct Policy: Equatable, Sendable {
        /// A worker that says nothing for so long is gone.
        package var silence: Duration = .seconds(10)
        /// A batch that has no active worker for so long is given up.
        package var grace: Duration = .seconds(60)
        /// Bad answers after which a worker gets no more work.
        package var strikes = 3
        /// Workers that a unit may cost before it is given up.
        package var casualties = 3
        /// Most units that a worker may ask for.
        package var credit = 64
        /// The clock advances by no more than this between two events: after a stop of the whole
        /// machine nobody is blamed for silence.
        package var stall: Duration = .seconds(2)

        package init() {}
    }

    package enum Event: Equatable, Sendable {
        /// A batch begins; none is open.
        case submitted([UnitID])
        case cancelled
        case joined(WorkerID)
        /// It may be given so many more units.
        case asked(WorkerID, Int)
        /// It sent anything at all.
        case heard(WorkerID)
        /// A good answer came.
        case answered(UnitID, by: WorkerID)
        /// A bad answer came, or word that the unit cannot be computed.
        case refused(UnitID, by: WorkerID, reason: String)
        /// It said goodbye.
        case left(WorkerID)
        /// Its connection or process ended.
        case vanished(WorkerID)
        /// No worker will join any more.
        case closed
        case tick
    }

    package enum Action: Equatable, Sendable {
        case assign(UnitID, to: WorkerID, attempt: Int)
        /// Use this answer, which came with the event.
        case accept(UnitID)
        /// Tell the worker that the unit is no longer wanted.
        case abandon(UnitID, at: WorkerID)
        /// It fell silent: end its connection.
        case evict(WorkerID)
        /// It gets no more work.
        case setAside(WorkerID)
        case complete
        case failed(UnitID, [Casualty])
        /// Nobody is left, and nobody came.
        case deserted
    }

    /// One attempt at a unit that came to nothing.
    package struct Casualty: Equatable, Sendable {
        package enum Cause: Equatable, Sendable {
            case silent
            case vanished
            case refused(String)
        }
        package let worker: WorkerID
        package let cause: Cause

        package init(worker: WorkerID, cause: Cause) {
            self.worker = worker
            self.cause = cause
        }
    }

    struct Worker: Sendable {
        var credit = 0
        /// In the order of assignment: it computes the first.
        var held: [UnitID] = []
        var strikes = 0
        var isSetAside = false
        var lastHeard: Duration
    }

    struct Unit: Sendable {
        var holders: [WorkerID] = []
        var attempts = 0
        var casualties: [Casualty] = []
        var isDone = false

        func avoids(_ worker: WorkerID) -> Bool { casualties.contains { $0.worker == worker } }
    }

    struct Batch: Sendable {
        var units: [UnitID: Unit]
        /// Open units without a holder, in order.
        var waiting: [UnitID]
        /// Open units.
        var remaining: Int
    }

    package let policy: Policy
    var workers: [WorkerID: Worker] = [:]
    var batch: Batch?
    /// Since when the open batch has had no active worker.
    var desertedSince: Duration?
    var isClosed = false
    /// The sum of all advances of the clock, none longer than `policy.stall`.
    var now: Duration = .zero
    var lastTime: Duration?
    var history = DispatcherHistory()

    package init(policy: Policy = Policy()) {
        self.policy = policy
    }

    /// Takes one event.
    ///
    /// - Parameters:
    ///   - event: what happened; events of unknown workers and units change nothing
    ///   - time: a clock, which may jump
    /// - Returns: what to do, in this order
    package mutating func handle(_ event: Event, at time: Duration) -> [Action] {
        advance(to: time)
        var actions: [Action] = []
        switch event {
        case .submitted(let units): submit(units)
        case .cancelled: close(&actions)
        case .joined(let id): workers[id] = Worker(lastHeard: now)
        case .asked(let id, let units): ask(id, units)
        case .heard(let id): workers[id]?.lastHeard = now
        case .answered(let unit, let id): accept(unit, from: id, &actions)
        case .refused(let unit, let id, let reason): refuse(unit, by: id, reason, &actions)
        case .left(let id): lose(id, blame: nil, &actions)
        case .vanished(let id): lose(id, blame: .vanished, &actions)
        case .closed: isClosed = true
        case .tick: evictSilent(&actions)
        }
        assignWaiting(&actions)
        moveToIdle(&actions)
        giveUpIfDeserted(&actions)
        history.record(event, actions, at: time)
        return actions
    }

    /// Whether a batch is open.
    package var isBusy: Bool { batch != nil }
    /// Workers that get work.
    package var activeWorkers: [WorkerID] {
        workers.filter { !$0.value.isSetAside }.keys.sorted()
    }
    /// Units that the worker holds.
    package func held(by worker: WorkerID) -> [UnitID] { workers[worker]?.held ?? [] }
    /// The last events and what came of them, one per line.
    package var story: String { history.description }

    private mutating func advance(to time: Duration) {
        let step = time - (lastTime ?? time)
        now += min(max(.zero, step), policy.stall)
        lastTime = time
    }
}
