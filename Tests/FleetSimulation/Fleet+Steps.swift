import Coordinator
import Protocol

/// The steps of a phase, as a coordinator hands them out: the views of a step when it is requested, and those of the
/// next step that can be computed already. Checks come with the step that is requested.
struct RunningPhase {
    private var flow: StepFlow
    private let first: UInt64
    /// The last step that was requested; -1 for none.
    private(set) var step = -1
    /// Views that can be computed and have not been handed out, including those of steps after the next.
    private var ready: [StepFlow.View]
    /// Units of the requested step that have no answer yet.
    private var open: Set<UnitID> = []
    private var viewsLeft = 0
    private var checks = 0
    /// Workers that answered views of the requested step and of the next one.
    private var answerers: [UnitID: Int] = [:]
    /// What relays have been sent for the last two steps.
    private var sent: [Sent: RelayedCells] = [:]

    private struct Sent: Hashable {
        let relay: Int
        let step: Int
    }

    init(_ steps: StepFlow, first: UInt64) {
        (flow, self.first) = (steps, first)
        ready = flow.begin()
    }

    var isAnswered: Bool { open.isEmpty }
    var isOver: Bool { step + 1 == flow.steps.count && isAnswered }
    /// Number of views in the next step.
    var nextCount: Int { flow.steps[step + 1].count }

    /// How many unit numbers a step has. Numbers are in the order in which units are to be computed.
    private static let numbersOfStep: UInt64 = 1 << 32
    static func end(of steps: StepFlow, first: UInt64) -> UInt64 {
        first + UInt64(steps.steps.count) * numbersOfStep
    }

    private func id(_ view: StepFlow.View) -> UnitID {
        let isLattice = view.index < flow.steps[view.step].lattices
        return UnitID(
            first + UInt64(view.step) * Self.numbersOfStep + (isLattice ? 1 << 30 : 1 << 31)
                + UInt64(view.index)
        )
    }

    private func checkID(_ index: Int) -> UnitID {
        UnitID(first + UInt64(step) * Self.numbersOfStep + UInt64(index))
    }

    private func view(_ id: UnitID) -> StepFlow.View? {
        let (step, rest) = (id.rawValue - first).quotientAndRemainder(
            dividingBy: Self.numbersOfStep
        )
        guard rest >= 1 << 30 else { return nil }
        return .init(step: Int(step), index: Int(rest & (1 << 30 - 1)))
    }

    /// Requests the next step.
    ///
    /// - Parameter checks: number of checks to compute along with it
    /// - Returns: units of the checks
    mutating func request(checks: Int) -> [UnitID] {
        step += 1
        self.checks = checks
        let ids = (0..<checks).map(checkID)
        let views = views
        viewsLeft = views.count { answerers[$0] == nil }
        open = Set(views.filter { answerers[$0] == nil } + ids)
        return ids
    }

    private var views: [UnitID] {
        (0..<flow.steps[step].count).map { id(.init(step: step, index: $0)) }
    }

    /// Takes what can be handed out now, by rank: views that all windows of the next step wait for come first.
    mutating func take() -> [(rank: Int, units: [UnitID])] {
        // The next step is begun early, but not once nobody waits for this one.
        let isDue = { [step, viewsLeft] (view: StepFlow.View) in
            view.step <= step || view.step == step + 1 && viewsLeft > 0
        }
        var ranks: [Int: [UnitID]] = [:]
        for view in ready where isDue(view) {
            let isLattice = view.index < flow.steps[view.step].lattices
            ranks[2 * view.step + (isLattice ? 0 : 1), default: []].append(id(view))
        }
        if !ranks.isEmpty { ready.removeAll(where: isDue) }
        return ranks.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
    }

    /// Share of a view's pixels that a relay has not been sent yet; they count as sent from now on.
    mutating func newShare(of unit: UnitID, to relay: Int) -> Double {
        guard unit.rawValue >= first, let view = view(unit) else { return 1 }
        let (lattices, windows) = (flow.steps[view.step].lattices, flow.steps[view.step].windows)
        guard view.index >= lattices else { return 1 }
        sent = sent.filter { $0.key.step + 1 >= view.step }
        return sent[Sent(relay: relay, step: view.step), default: RelayedCells()]
            .add(windows[view.index - lattices])
    }

    mutating func accept(_ unit: UnitID, _ worker: Int?) {
        guard unit.rawValue >= first else { return }
        answerers[unit] = worker
        guard let view = view(unit) else {
            open.remove(unit)
            return
        }
        if open.remove(unit) != nil { viewsLeft -= 1 }
        ready += flow.done(view)
    }

    mutating func skip(_ unit: UnitID) { open.remove(unit) }

    /// Workers that answered the views of the requested step, and then its checks.
    mutating func takeAnswerers() -> [Int?] {
        let units = views + (0..<checks).map(checkID)
        defer { for unit in units { answerers[unit] = nil } }
        return units.map { answerers[$0] }
    }
}

extension Fleet {
    /// Runs the steps of a phase to their end.
    package mutating func run(_ steps: StepFlow) -> Result {
        begin(steps)
        var total = Result()
        while !isOver { total.add(runStep()) }
        return total
    }

    /// Begins a phase; a phase that is not over is abandoned.
    package mutating func begin(_ steps: StepFlow) {
        giveUp()
        phase = RunningPhase(steps, first: nextUnit)
        nextUnit = RunningPhase.end(of: steps, first: nextUnit)
        (costs, listed, isComplete) = ([:], [:], true)
        forgetGaps()
    }

    /// Whether all steps of the phase are done, or there is no phase.
    package var isOver: Bool { phase?.isOver ?? true }

    /// Abandons the phase.
    package mutating func giveUp() {
        guard phase != nil else { return }
        phase = nil
        if state.isBusy { feed(.cancelled) }
    }

    /// Runs the next step of the phase.
    ///
    /// - Parameter checks: checks to compute along with it, each with the hosts that must not compute it
    /// - Returns: the result of the step; its answerers are those of the views, and then those of the checks
    package mutating func runStep(checks: [Set<HostID>] = []) -> Result {
        result = Result()
        let start = now
        let ids = phase?.request(checks: checks.count) ?? []
        give(ids, rank: 2 * (phase?.step ?? 0), Dictionary(uniqueKeysWithValues: zip(ids, checks)))
        giveReady()
        _ = finish(since: start) { $0.phase?.isAnswered ?? true }
        result.answerers = phase?.takeAnswerers() ?? []
        return result
    }

    /// Hands the views that can be computed now to the dispatcher.
    mutating func giveReady() {
        guard phase != nil else { return }
        for (rank, units) in phase?.take() ?? [] { give(units, rank: rank, [:]) }
    }

    private mutating func give(_ units: [UnitID], rank: Int, _ checks: [UnitID: Set<HostID>]) {
        guard !units.isEmpty else { return }
        guard isComplete else { return feed(.added(units, rank: rank, checks: checks)) }
        isComplete = false
        feed(.submitted(units, checks: checks))
    }
}

extension Fleet.Result {
    mutating func add(_ other: Self) {
        time += other.time
        waited += other.waited
        busy += other.busy
        accepted += other.accepted
        answerers += other.answerers
        dispatching += other.dispatching
        bytes += other.bytes
    }
}
