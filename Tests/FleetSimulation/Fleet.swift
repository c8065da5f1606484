import Coordinator
import Glibc
import Protocol

/// A simulated fleet of workers under a real dispatcher, event by event: how long a step takes, and how long workers
/// wait for their next view.
///
/// Times are in seconds. Every link has its own latency and bandwidth; a worker computes units in the order of their
/// arrival, stops abandoned units at once, and asks for another unit whenever it is done with one.
package struct Fleet {
    /// A worker and the link to it.
    package struct Member: Sendable {
        /// Seconds for a unit of cost 1.
        package var pace: Double
        /// One-way latency.
        package var latency = 0.0
        package var bytesPerSecond = Double.infinity
        /// Units that it asks for at first.
        package var credit = 16
        /// Whether it sends heartbeats but computes nothing.
        package var isStuck = false
        /// The relay that it is behind, if any.
        package var relay: Int?
        /// Its host, by which it is recognised when it comes back as another worker; nil if it is not recognised.
        package var host: String?
        /// One in this many answers is wrong (`CheckedFleet`); nil for none.
        package var lieInterval: Int?

        package init(pace: Double) {
            self.pace = pace
        }
    }

    /// Result of a batch.
    package struct Result: Sendable {
        package var time = 0.0
        /// Sum over all workers of the gaps between two units of the batch.
        package var waited = 0.0
        /// Sum over all workers of time spent computing.
        package var busy = 0.0
        package var accepted = 0
        /// Workers whose answers were accepted, for units and then for checks; nil for checks that were skipped.
        package var answerers: [Int?] = []
        /// Processor time in the dispatcher, in seconds.
        package var dispatching = 0.0
        /// Bytes through the coordinator's link, in both directions.
        package var bytes = 0.0
    }

    private struct Worker {
        let member: Member
        var queue: [(unit: UnitID, cost: Double)] = []
        /// Counts computations, so that the end of an aborted one is not taken for the end of the next.
        var run = 0
        var began: Double?
        /// When it finished its last unit of this batch.
        var finished: Double?
        var isGone = false
    }

    private enum Happening {
        case event(DispatcherState.Event, from: Int)
        /// A worker's message has come through the worker's own link, and now needs the coordinator's.
        case arrival(DispatcherState.Event, from: Int, bytes: Double)
        case leaving(Int)
        case joining(Member)
        case task(UnitID, Double, Int)
        case abandon(UnitID, Int)
        case computed(Int, run: Int)
    }

    package private(set) var state: DispatcherState
    private var workers: [Worker] = []
    private var calendar = Calendar<Happening>()
    private(set) var now = 0.0
    var nextUnit: UInt64 = 1
    private let bytes: Double
    private let answerBytes: Double
    private let churn: Churn?
    private var random: SimulationRandom
    private var up: SharedLink
    private var down: SharedLink
    var costs: [UnitID: Double] = [:]
    /// The units whose answerers are wanted, with their index in the result.
    var listed: [UnitID: Int] = [:]
    /// The current phase.
    var phase: RunningPhase?
    var result = Result()
    var isComplete = false

    /// - Parameters:
    ///   - members: workers at the start
    ///   - bytes: size of a view
    ///   - answerBytes: size of its answer; nil for the same size
    ///   - linkBytesPerSecond: bandwidth of the coordinator's own link, in each direction
    ///   - churn: how workers come and go; nil if they stay
    ///   - policy: policy of the dispatcher
    package init(
        _ members: [Member],
        bytes: Int = 0,
        answerBytes: Int? = nil,
        linkBytesPerSecond: Double = .infinity,
        churn: Churn? = nil,
        policy: DispatcherState.Policy = DispatcherState.Policy()
    ) {
        var policy = policy
        policy.silence = .seconds(1_000_000_000)
        state = DispatcherState(policy: policy)
        self.bytes = Double(bytes)
        self.answerBytes = Double(answerBytes ?? bytes)
        (self.churn, random) = (churn, SimulationRandom(state: churn?.seed ?? 0))
        (up, down) = (SharedLink(linkBytesPerSecond), SharedLink(linkBytesPerSecond))
        for member in members { join(member) }
    }

    /// Paces of the workers that are present.
    package var paces: [Double] { paces(without: []) }

    /// Paces of the workers that are present, without those of some hosts.
    package func paces(without hosts: Set<HostID>) -> [Double] {
        workers.filter { worker in
            !worker.isGone && worker.member.host.map { !hosts.contains(HostID($0)) } ?? true
        }.map(\.member.pace)
    }

    private mutating func join(_ member: Member) {
        let index = workers.count
        workers.append(Worker(member: member))
        feed(
            .joined(
                WorkerID(index),
                from: member.host.map { HostID($0) },
                site: member.relay.map { HostID("relay \($0)") },
                behindRelay: member.relay != nil
            )
        )
        feed(.asked(WorkerID(index), member.credit))
        if let churn {
            calendar.add(.leaving(index), at: now + churn.stay(&random))
        }
    }

    /// Removes a worker with everything that it held; after a while it comes back as another worker.
    private mutating func leave(_ index: Int) {
        guard let churn else { return }
        workers[index].isGone = true
        workers[index].queue = []
        workers[index].run += 1
        feed(.lost(WorkerID(index), .vanished))
        calendar.add(.joining(workers[index].member), at: now + churn.absence)
    }

    /// A worker that is or was present.
    package func member(_ index: Int) -> Member { workers[index].member }

    /// Gives a host no more work.
    package mutating func distrust(_ host: HostID) { feed(.distrusted(host)) }

    /// Runs one batch to its end.
    ///
    /// - Parameters:
    ///   - count: number of units
    ///   - costs: costs of the units; by default 1 each
    ///   - checks: additional units, each with the hosts that must not compute it
    /// - Returns: the result of the batch
    package mutating func run(
        _ count: Int,
        costs: [Double] = [],
        checks: [Set<HostID>] = []
    ) -> Result {
        giveUp()
        result = Result()
        result.answerers = Array(repeating: nil, count: count + checks.count)
        isComplete = false
        let start = now
        let units = (0..<UInt64(count + checks.count)).map { UnitID(nextUnit + $0) }
        nextUnit += UInt64(units.count)
        listed = Dictionary(uniqueKeysWithValues: zip(units, units.indices))
        self.costs = Dictionary(
            uniqueKeysWithValues: units.enumerated().map { ($1, costs.isEmpty ? 1 : costs[$0]) }
        )
        forgetGaps()
        let barred = Dictionary(uniqueKeysWithValues: zip(units.dropFirst(count), checks))
        feed(.submitted(units, costs: costs, checks: barred))
        return finish(since: start) { $0.isComplete }
    }

    /// Resets the gaps: waiting begins with a worker's first unit.
    mutating func forgetGaps() {
        for index in workers.indices { workers[index].finished = nil }
    }

    /// Processes events until something is complete.
    mutating func finish(since start: Double, _ isDone: (Fleet) -> Bool) -> Result {
        var tick = now
        while !isDone(self) {
            guard let next = calendar.first, next <= tick + 0.05 else {
                // A tick alone can end a lease.
                tick += 0.05
                now = max(now, tick)
                feed(.tick)
                precondition(now < start + 1_000_000, "a batch never ends\n\(state.trace)")
                continue
            }
            let (time, happening) = calendar.take()
            now = max(now, time)
            while tick + 0.05 < now { tick += 0.05 }
            perform(happening)
        }
        result.time = now - start
        return result
    }

    /// Processor time of this thread, in seconds.
    private static var processorSeconds: Double {
        var time = timespec()
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }

    mutating func feed(_ event: DispatcherState.Event) {
        let began = Self.processorSeconds
        let actions = state.handle(event, at: .seconds(now))
        result.dispatching += Self.processorSeconds - began
        for action in actions {
            switch action {
            case .assign(let unit, let id, _):
                let member = workers[id.rawValue].member
                let trip = member.latency + bytes / member.bytesPerSecond
                let sent = bytes * (member.relay.flatMap { phase?.newShare(of: unit, to: $0) } ?? 1)
                result.bytes += sent
                calendar.add(
                    .task(unit, costs[unit] ?? 1, id.rawValue),
                    at: up.pass(sent, at: now) + trip
                )
            case .abandon(let unit, let id):
                calendar.add(
                    .abandon(unit, id.rawValue),
                    at: now + workers[id.rawValue].member.latency
                )
            case .accept(let unit):
                result.accepted += 1
                if let place = listed[unit], case .answered(_, let id, _) = event {
                    result.answerers[place] = id.rawValue
                }
                phase?.accept(unit, event.answerer)
            case .skip(let unit): phase?.skip(unit)
            case .complete: isComplete = true
            case .failed, .noWorkersLeft, .expel:
                preconditionFailure("\(action)\n\(state.trace)")
            case .pause: precondition(churn != nil, "\(action)\n\(state.trace)")
            case .evict, .doubt, .setAside, .drop: break
            }
        }
        giveReady()
    }

    private mutating func perform(_ happening: Happening) {
        switch happening {
        case .event(let event, let index): if !workers[index].isGone { feed(event) }
        case .arrival(let event, let index, let bytes):
            calendar.add(.event(event, from: index), at: down.pass(bytes, at: now))
        case .leaving(let index): leave(index)
        case .joining(let member): join(member)
        case .task(let unit, let cost, let index):
            guard !workers[index].isGone else { return }
            workers[index].queue.append((unit, cost))
            begin(index)
        case .abandon(let unit, let index):
            guard let place = workers[index].queue.firstIndex(where: { $0.unit == unit }) else {
                return
            }
            // A stuck worker cannot even stop the unit that it is computing.
            guard place > 0 || !workers[index].member.isStuck else { return }
            workers[index].queue.remove(at: place)
            if place == 0 {
                if let began = workers[index].began { result.busy += now - began }
                workers[index].began = nil
                workers[index].run += 1
                workers[index].finished = now
            }
            tell(.asked(WorkerID(index), 1), from: index, bytes: 0)
            begin(index)
        case .computed(let index, let run):
            guard run == workers[index].run, let began = workers[index].began else { return }
            let unit = workers[index].queue.removeFirst().unit
            workers[index].began = nil
            workers[index].run += 1
            workers[index].finished = now
            result.busy += now - began
            let id = WorkerID(index)
            tell(
                .answered(unit, by: id, spent: .seconds(now - began)),
                from: index,
                bytes: answerBytes
            )
            // Right after the answer.
            tell(.asked(id, 1), from: index, bytes: 0, behind: answerBytes)
            begin(index)
        }
    }

    private mutating func tell(
        _ event: DispatcherState.Event,
        from index: Int,
        bytes: Double,
        behind others: Double = 0
    ) {
        let member = workers[index].member
        let arrival = now + member.latency + (bytes + others) / member.bytesPerSecond
        result.bytes += bytes
        calendar.add(.arrival(event, from: index, bytes: bytes), at: arrival)
    }

    private mutating func begin(_ index: Int) {
        guard workers[index].began == nil, let next = workers[index].queue.first,
            !workers[index].member.isStuck
        else { return }
        if let finished = workers[index].finished { result.waited += now - finished }
        workers[index].began = now
        calendar.add(
            .computed(index, run: workers[index].run),
            at: now + workers[index].member.pace * next.cost
        )
    }
}

/// A queue of what happens when, earliest first; ties go to what was added first.
private struct Calendar<Happening> {
    private typealias Entry = (time: Double, order: Int, happening: Happening)

    private var queue = PriorityQueue<Entry> { ($0.time, $0.order) < ($1.time, $1.order) }
    private var count = 0

    var first: Double? { queue.first?.time }

    mutating func add(_ happening: Happening, at time: Double) {
        queue.add((time, count, happening))
        count += 1
    }

    mutating func take() -> (Double, Happening) {
        let first = queue.removeFirst()
        return (first.time, first.happening)
    }
}

/// The shortest time in which workers with these paces can do this many equal units, without interruption.
package func idealTime(_ count: Int, paces: [Double]) -> Double {
    func done(by time: Double) -> Int {
        paces.reduce(0) { $0 + Int((time / $1 + 1e-9).rounded(.down)) }
    }
    var (low, high) = (0.0, (paces.min() ?? 1) * Double(count))
    for _ in 0..<100 {
        let middle = (low + high) / 2
        if done(by: middle) >= count { high = middle } else { low = middle }
    }
    return high
}

extension DispatcherState.Event {
    fileprivate var answerer: Int? {
        guard case .answered(_, let id, _) = self else { return nil }
        return id.rawValue
    }
}
