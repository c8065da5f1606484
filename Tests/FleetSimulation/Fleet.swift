import Coordinator
import Protocol

/// A simulated fleet of workers under a real dispatcher, event by event: what a step takes, and how
/// long workers wait for their next view.
///
/// Times are in seconds. Links have a latency and a bandwidth of their own; a worker computes in the
/// order of arrival, ends abandoned units at once, and asks for another unit whenever it has
/// disposed of one.
package struct Fleet {
    /// One worker and the link to it.
    package struct Member: Sendable {
        /// For a unit of cost 1.
        package var pace: Double
        /// One way.
        package var latency = 0.0
        package var bytesPerSecond = Double.infinity
        /// Units that it asks for at first.
        package var credit = 16
        /// Whether it computes nothing, although it sends heartbeats.
        package var isStuck = false

        package init(pace: Double) {
            self.pace = pace
        }
    }

    /// What became of a batch.
    package struct Result: Sendable {
        package var time = 0.0
        /// Sum over all workers of gaps between two units of the batch.
        package var waited = 0.0
        /// Sum over all workers of time spent computing.
        package var busy = 0.0
        package var accepted = 0
        /// Real time in the dispatcher.
        package var dispatching = Duration.zero
    }

    private struct Worker {
        let member: Member
        var queue: [(unit: UnitID, cost: Double)] = []
        /// Counts computations, so that the end of one that was broken off is no end of the next.
        var run = 0
        var began: Double?
        /// When it finished the last unit of this batch.
        var finished: Double?
    }

    private enum Happening {
        case event(DispatcherState.Event)
        case task(UnitID, Double, Int)
        case abandon(UnitID, Int)
        case computed(Int, run: Int)
    }

    package private(set) var state: DispatcherState
    private var workers: [Worker] = []
    private var calendar = Calendar<Happening>()
    private var now = 0.0
    private var nextUnit: UInt64 = 1
    private let bytes: Double
    private var costs: [UnitID: Double] = [:]
    private var result = Result()
    private var isComplete = false
    private let clock = ContinuousClock()

    /// - Parameters:
    ///   - members: who is there
    ///   - bytes: of a view and of its answer
    ///   - policy: the dispatcher's
    package init(
        _ members: [Member],
        bytes: Int = 0,
        policy: DispatcherState.Policy = DispatcherState.Policy()
    ) {
        var policy = policy
        policy.silence = .seconds(1_000_000_000)
        state = DispatcherState(policy: policy)
        self.bytes = Double(bytes)
        for (index, member) in members.enumerated() {
            workers.append(Worker(member: member))
            feed(.joined(WorkerID(index)))
            feed(.asked(WorkerID(index), member.credit))
        }
    }

    /// Runs one batch to its end.
    package mutating func run(_ count: Int, costs: [Double] = []) -> Result {
        result = Result()
        isComplete = false
        let start = now
        let units = (0..<UInt64(count)).map { UnitID(nextUnit + $0) }
        nextUnit += UInt64(count)
        self.costs = Dictionary(
            uniqueKeysWithValues: units.enumerated().map { ($1, costs.isEmpty ? 1 : costs[$0]) }
        )
        for index in workers.indices { workers[index].finished = nil }
        feed(.submitted(units, costs: costs))
        var tick = now
        while !isComplete {
            guard let next = calendar.first, next <= tick + 0.05 else {
                // Ticks alone can end a lease.
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

    private mutating func feed(_ event: DispatcherState.Event) {
        let began = clock.now
        let actions = state.handle(event, at: .seconds(now))
        result.dispatching += began.duration(to: clock.now)
        for action in actions {
            switch action {
            case .assign(let unit, let id, _):
                let member = workers[id.rawValue].member
                let trip = member.latency + bytes / member.bytesPerSecond
                calendar.add(
                    .task(unit, costs[unit] ?? 1, id.rawValue),
                    at: now + trip
                )
            case .abandon(let unit, let id):
                calendar.add(
                    .abandon(unit, id.rawValue),
                    at: now + workers[id.rawValue].member.latency
                )
            case .accept: result.accepted += 1
            case .complete: isComplete = true
            case .failed, .noWorkersLeft, .expel, .pause:
                preconditionFailure("\(action)\n\(state.trace)")
            case .evict, .doubt, .setAside, .skip: break
            }
        }
    }

    private mutating func perform(_ happening: Happening) {
        switch happening {
        case .event(let event): feed(event)
        case .task(let unit, let cost, let index):
            workers[index].queue.append((unit, cost))
            begin(index)
        case .abandon(let unit, let index):
            guard let place = workers[index].queue.firstIndex(where: { $0.unit == unit }) else {
                return
            }
            // One that is stuck cannot even end the unit that it is computing.
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
            tell(.answered(unit, by: id, spent: .seconds(now - began)), from: index, bytes: bytes)
            tell(.asked(id, 1), from: index, bytes: bytes)
            begin(index)
        }
    }

    private mutating func tell(_ event: DispatcherState.Event, from index: Int, bytes: Double) {
        let member = workers[index].member
        calendar.add(.event(event), at: now + member.latency + bytes / member.bytesPerSecond)
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

/// What happens when, the earliest first; what was added first wins a tie.
private struct Calendar<Happening> {
    private var heap: [(time: Double, order: Int, happening: Happening)] = []
    private var count = 0

    var first: Double? { heap.first?.time }

    mutating func add(_ happening: Happening, at time: Double) {
        heap.append((time, count, happening))
        count += 1
        var child = heap.count - 1
        while child > 0, precedes(child, (child - 1) / 2) {
            heap.swapAt(child, (child - 1) / 2)
            child = (child - 1) / 2
        }
    }

    mutating func take() -> (Double, Happening) {
        let first = heap[0]
        let last = heap.removeLast()
        if !heap.isEmpty {
            heap[0] = last
            var parent = 0
            while true {
                var least = parent
                for child in [2 * parent + 1, 2 * parent + 2]
                where child < heap.count && precedes(child, least) { least = child }
                guard least != parent else { break }
                heap.swapAt(parent, least)
                parent = least
            }
        }
        return (first.time, first.happening)
    }

    private func precedes(_ a: Int, _ b: Int) -> Bool {
        (heap[a].time, heap[a].order) < (heap[b].time, heap[b].order)
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
