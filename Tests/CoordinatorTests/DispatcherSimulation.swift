import Coordinator
import Protocol
import TestSupport
import Testing

/// A cluster of simulated workers with every fault that a real one may have, driven at random.
///
/// Messages from a worker arrive in order, but late; workers die, hang, fall silent, leave, answer twice, answer
/// nonsense, and join again; the clock jumps. Some only send heartbeats, some answer units that they were not given,
/// some die on every unit and come back.
struct DispatcherSimulation {
    /// How a worker behaves.
    enum Manner: CaseIterable {
        case honest
        /// Sends heartbeats and asks for units, but never answers.
        case mute
        /// Answers units that others hold.
        case meddler
        /// Dies as soon as it is given a unit, and comes back.
        case crasher
        /// Spoils every answer, and reconnects when it is set aside.
        case spoiler
    }

    struct Imagined {
        var manner = Manner.honest
        var host = HostID("nowhere")
        /// All units that it was ever given.
        var given: [UnitID] = []
        var queue: [UnitID] = []
        /// Messages on their way to the coordinator, with their arrival times.
        var mail: [(at: Duration, event: DispatcherState.Event)] = []
        /// When the current unit will be done.
        var doneAt: Duration?
        var speed: Duration
        var isAlive = true
        var isSilent = false
        /// It sends heartbeats, but no longer computes.
        var isStuck = false
        /// Whether it can cancel a unit that it is computing.
        var heedsCancel = true
        var badShare: Double
        var lastBeat: Duration = .zero
    }

    var random: SplitMix
    var state: DispatcherState
    var now: Duration = .zero
    /// Offset of the dispatcher's clock, which jumps now and then.
    var clockOffset: Duration = .zero
    var workers: [WorkerID: Imagined] = [:]
    var nextWorker = 1
    var nextUnit: UInt64 = 1
    var accepted: [UnitID: Int] = [:]
    /// The worker whose answer was accepted, by unit.
    var answerers: [UnitID: WorkerID] = [:]
    /// The workers that were ever given a unit.
    var given: [UnitID: Set<WorkerID>] = [:]
    /// Whether units have homes, which may no longer keep them.
    var missable = false
    /// Whether more units arrive while a batch is open.
    var grows = false
    var rank = 0
    /// Units of the open batch.
    var open: [UnitID] = []
    /// Hosts that will come back, and when.
    var returns: [(at: Duration, host: HostID, manner: Manner)] = []
    var nextHost = 1
    /// Number of workers that joined, by behaviour.
    var joined: [Manner: Int] = [:]
    var expelled = 0
    var outcome: DispatcherState.Action?
    /// Whether faults still happen.
    var isStormy = true
    /// Units whose answers are always bad, whichever worker computes them.
    var cursed: Set<UnitID> = []

    init(seed: UInt64) {
        random = SplitMix(seed)
        var policy = DispatcherState.Policy()
        policy.silence = .milliseconds(500)
        policy.grace = .seconds(5)
        policy.stall = .milliseconds(200)
        policy.minLease = .milliseconds(150)
        policy.firstLease = .milliseconds(800)
        policy.minDelay = .milliseconds(20)
        policy.depths = 1...4
        // Faults are far more frequent here than in any real cluster.
        policy.maxFailures = 40
        policy.strikes = 10
        state = DispatcherState(policy: policy)
    }

    mutating func chance(_ share: Double) -> Bool {
        Double.random(in: 0..<1, using: &random) < share
    }

    mutating func join(
        reliable: Bool = false,
        as manner: Manner? = nil,
        from host: HostID? = nil
    ) throws {
        let id = WorkerID(nextWorker)
        nextWorker += 1
        let isHostile = !reliable && chance(0.25)
        let manner =
            manner ?? (isHostile ? Manner.allCases.randomElement(using: &random) : nil) ?? .honest
        let host = host ?? HostID("host \(nextHost)")
        nextHost += 1
        joined[manner, default: 0] += 1
        workers[id] = Imagined(
            manner: manner,
            host: host,
            speed: .milliseconds(Int.random(in: 1...60, using: &random)),
            isStuck: !reliable && chance(0.05),
            heedsCancel: chance(0.7),
            badShare: manner == .spoiler ? 1 : !reliable && chance(0.2) ? 0.5 : 0,
            lastBeat: now
        )
        // Some workers are behind one of two relays.
        let relay = chance(0.3) ? HostID("relay \(id.rawValue % 2)") : nil
        try feed(.joined(id, from: host, site: relay, behindRelay: relay != nil))
        post(.asked(id, Int.random(in: 1...8, using: &random)), from: id)
    }

    mutating func post(_ event: DispatcherState.Event, from id: WorkerID) {
        let arrival = now + .milliseconds(Int.random(in: 0...20, using: &random))
        let last = workers[id]?.mail.last?.at ?? .zero
        workers[id]?.mail.append((max(arrival, last), event))
    }

    mutating func feed(_ event: DispatcherState.Event) throws {
        for action in state.handle(event, at: now + clockOffset) {
            try perform(action, event)
        }
        try state.checkInvariants()
    }

    mutating func perform(
        _ action: DispatcherState.Action,
        _ event: DispatcherState.Event
    ) throws {
        switch action {
        case .assign(let unit, let id, _):
            given[unit, default: []].insert(id)
            workers[id]?.given.append(unit)
            workers[id]?.queue.append(unit)
        case .abandon(let unit, let id):
            guard let worker = workers[id], let place = worker.queue.firstIndex(of: unit) else {
                break
            }
            if place == 0, worker.doneAt != nil {
                // The current unit is computed to its end, or cancelled.
                guard worker.heedsCancel, !worker.isStuck else { break }
                workers[id]?.doneAt = nil
            }
            workers[id]?.queue.remove(at: place)
            post(.asked(id, 1), from: id)
        case .accept(let unit):
            accepted[unit, default: 0] += 1
            guard case .answered(unit, let id, _) = event, given[unit]?.contains(id) == true else {
                throw InvariantViolation(
                    promise: "\(unit) is fused from a worker that never had it",
                    trace: state.trace
                )
            }
            answerers[unit] = id
        case .evict(let id):
            workers[id] = nil
        case .expel(let id, let unit):
            guard workers[id]?.given.suffix(64).contains(unit) != true else {
                throw InvariantViolation(
                    promise: "\(id) is expelled for \(unit), which it was given",
                    trace: state.trace
                )
            }
            expelled += 1
            comeBack(id)
            workers[id] = nil
        case .setAside(let id):
            // It disconnects and tries again.
            guard workers[id]?.manner == .spoiler else { break }
            comeBack(id)
            post(.lost(id, .vanished), from: id)
            workers[id]?.isAlive = false
        case .drop(let unit):
            guard open.contains(unit), accepted[unit] == nil else {
                throw InvariantViolation(
                    promise: "\(unit) is dropped, which was answered or never there",
                    trace: state.trace
                )
            }
            open.removeAll { $0 == unit }
            for worker in workers.values where worker.isAlive && worker.queue.contains(unit) {
                throw InvariantViolation(
                    promise: "\(unit) is dropped while a worker has it",
                    trace: state.trace
                )
            }
        case .doubt, .pause, .skip:
            break
        case .complete, .failed, .noWorkersLeft:
            precondition(outcome == nil, "two outcomes")
            outcome = action
        }
    }

    /// Lets a host return soon, with another connection.
    mutating func comeBack(_ id: WorkerID) {
        guard let worker = workers[id], worker.isAlive else { return }
        returns.append((now + .milliseconds(30), worker.host, worker.manner))
    }

    /// Lets a few milliseconds pass.
    mutating func step() throws {
        now += .milliseconds(Int.random(in: 1...10, using: &random))
        if isStormy { try storm() }
        if grows, isStormy, state.isBusy, chance(0.05) {
            let more = (0..<UInt64.random(in: 1...4, using: &random)).map { UnitID(nextUnit + $0) }
            nextUnit += UInt64(more.count)
            open += more
            rank += Int.random(in: 0...1, using: &random)
            try feed(.added(more, rank: rank))
            if chance(0.2) {
                try feed(.withdrawn(more.filter { _ in Bool.random(using: &random) }))
            }
        }
        for comer in returns where comer.at <= now && workers.count < 12 {
            try join(as: comer.manner, from: comer.host)
        }
        returns.removeAll { $0.at <= now }
        for id in workers.keys.sorted() {
            try work(id)
            while let mail = workers[id]?.mail.first, mail.at <= now {
                workers[id]?.mail.removeFirst()
                try feed(mail.event)
            }
        }
        try feed(.tick)
    }

    mutating func work(_ id: WorkerID) throws {
        guard let worker = workers[id], worker.isAlive, !worker.isSilent else { return }
        if now - worker.lastBeat > .milliseconds(100) {
            workers[id]?.lastBeat = now
            post(worker.manner == .mute && chance(0.3) ? .asked(id, 1) : .heard(id), from: id)
            if worker.manner == .meddler, let unit = open.randomElement(using: &random) {
                post(.answered(unit, by: id, spent: .milliseconds(1)), from: id)
            }
        }
        guard let unit = worker.queue.first, !worker.isStuck, worker.manner != .mute else { return }
        if worker.manner == .crasher {
            comeBack(id)
            workers[id]?.isAlive = false
            return post(.lost(id, .vanished), from: id)
        }
        guard let done = worker.doneAt else {
            workers[id]?.doneAt = now + worker.speed
            return
        }
        guard done <= now else { return }
        workers[id]?.queue.removeFirst()
        workers[id]?.doneAt = nil
        if open.contains(unit), missable, chance(0.05) {
            post(.missed(unit, by: id), from: id)
        } else if cursed.contains(unit) || chance(worker.badShare) {
            post(.refused(unit, by: id, reason: "NaN"), from: id)
        } else {
            // Some workers report how long they took, and not all of them truthfully.
            let spent: Duration? =
                chance(0.3) ? nil : chance(0.05) ? .seconds(1_000_000) : worker.speed
            post(.answered(unit, by: id, spent: spent), from: id)
            if isStormy, chance(0.05) { post(.answered(unit, by: id), from: id) }
        }
        post(.asked(id, 1), from: id)
    }

    mutating func storm() throws {
        if chance(0.02), workers.count < 12 { try join() }
        if chance(0.005) {
            clockOffset += .milliseconds(Int.random(in: -100_000...100_000, using: &random))
        }
        guard let id = workers.keys.sorted().randomElement(using: &random) else { return }
        if chance(0.01) {
            // Killed: messages already sent may still arrive, or not; then the connection ends.
            if chance(0.5) { workers[id]?.mail = [] }
            workers[id]?.isAlive = false
            post(.lost(id, .vanished), from: id)
        }
        if chance(0.01) { workers[id]?.isSilent = true }
        if chance(0.05) { workers[id]?.isSilent = false }
        if chance(0.01) { workers[id]?.isStuck = true }
        if chance(0.02) { workers[id]?.isStuck = false }
        if chance(0.01) { workers[id]?.speed *= 10 }
        if chance(0.005) {
            post(.lost(id, .left), from: id)
            workers[id]?.isAlive = false
        }
        // An answer from a worker that no longer has the unit, or never had it.
        if chance(0.02), nextUnit > 1 {
            let unit = UnitID(UInt64.random(in: 1..<nextUnit, using: &random))
            if accepted[unit] != nil { try feed(.answered(unit, by: id)) }
        }
    }

    /// The workers that answered the last units, others that are gone, and some that never existed.
    mutating func homes(of units: [UnitID]) -> [DispatcherState.Home] {
        let areSticky = chance(0.5)
        return units.map { unit in
            let last = answerers[UnitID(unit.rawValue &- UInt64(units.count))]
            return .init(
                worker: areSticky
                    ? last
                    : chance(0.1)
                        ? nil : WorkerID(Int.random(in: 1...nextWorker, using: &random)),
                costElsewhere: Double.random(in: 0.5...40, using: &random)
            )
        }
    }

    /// Submits a batch and steps until it ends.
    ///
    /// - Returns: its units, including those that were added later
    mutating func run(_ count: Int, stormFor steps: Int, cursed: Bool = false) throws -> [UnitID] {
        let units = (0..<UInt64(count)).map { UnitID(nextUnit + $0) }
        nextUnit += UInt64(count)
        open = units
        if cursed { self.cursed = [units[count / 2]] }
        outcome = nil
        isStormy = true
        let costs = chance(0.5) ? [] : units.map { _ in Double.random(in: 0.5...4, using: &random) }
        let homes = chance(0.6) ? [] : homes(of: units)
        missable = !homes.isEmpty
        let kind: DispatcherState.Kind = homes.isEmpty && chance(0.8) ? .views : .tiles
        (grows, rank) = (kind == .views && chance(0.5), 0)
        try feed(.submitted(units, costs: costs, kind: kind, homes: homes))
        var taken = 0
        while outcome == nil {
            taken += 1
            if taken > steps {
                isStormy = false
                if !workers.contains(where: { id, worker in
                    worker.isAlive && !worker.isSilent && !worker.isStuck
                        && worker.manner == .honest && worker.badShare == 0
                        && worker.speed < .seconds(1) && state.activeWorkers.contains(id)
                }) {
                    try join(reliable: true)
                }
            }
            guard taken < 20_000 else {
                throw InvariantViolation.endless(state.trace)
            }
            try step()
        }
        return open
    }
}

extension InvariantViolation {
    fileprivate static func endless(_ trace: String) -> InvariantViolation {
        InvariantViolation(promise: "a batch never ends", trace: trace)
    }
}
