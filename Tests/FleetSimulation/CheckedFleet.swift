import Coordinator
import Engine
import Protocol
import Sampling

/// A simulated fleet in which some workers answer wrongly, and a coordinator that checks answers as a render does:
/// `VerificationState` chooses, compares and decides, the dispatcher chooses who computes a check, and what is thrown
/// away is computed again. The coordinator's own answers are right; their time is not simulated, but bounded as in a
/// render.
package struct CheckedFleet {
    /// Result of a number of steps.
    package struct Outcome: Sendable {
        package var time = 0.0
        /// Ideal time of all computed steps, in seconds, including those that were thrown away.
        package var ideal = 0.0
        package var views = 0
        /// Views that were thrown away.
        package var thrownAway = 0
        package var checks = 0
        package var dispatching = 0.0
        package var bytes = 0.0
    }

    package private(set) var fleet: Fleet
    /// Hosts that answered wrongly, and the ones among them that were found.
    package private(set) var liars: Set<HostID> = []
    package private(set) var found: Set<HostID> = []
    private var state: VerificationState
    private var snapshots = Snapshots(first: 0, capacity: 64)
    /// Every step so far, with the number of its phase.
    private var steps: [(phase: Int, step: StepFlow.Step)] = []
    private var phases = 0
    /// The step after the last one that was computed, if it continues the fleet's current phase.
    private var begun: Int?
    private let overlaps: Bool
    /// Number of answers from each host so far.
    private var answered: [HostID: Int] = [:]
    private var elapsed = 0.0
    private var ownTime = 0.0
    /// The coordinator's time for a view, in seconds.
    private let ownPace: Double
    private let prompts: Prompts

    /// Share of the time that the coordinator spends on checks, as in a render.
    private static let ownShare = 0.02
    private static let kind = AnswerKind(
        processor: "CPU",
        backend: "onednn",
        precision: "f32",
        program: "1"
    )
    private static let geometry = ModelGeometry(
        nativeLatentSide: 128,
        vaeFactor: 8,
        latentChannels: 4,
        usesTimeIDs: true
    )

    /// - Parameters:
    ///   - fleet: the workers, each with a host
    ///   - share: share of answers to check
    ///   - seed: random seed for choosing the answers to check
    ///   - known: hosts with a good record
    ///   - ownPace: the coordinator's time for a view, in seconds
    ///   - overlaps: whether views of the next step are begun early
    package init(
        _ fleet: Fleet,
        share: VerifyShare = .byDefault,
        seed: UInt64 = 1,
        known: [HostID] = [],
        ownPace: Double,
        overlaps: Bool = true
    ) {
        var record = SiteRecord()
        for _ in 0..<1000 { record.note(isGood: true, at: 0) }
        state = VerificationState(
            share: share,
            seed: seed,
            model: Self.geometry,
            records: Dictionary(uniqueKeysWithValues: known.map { ($0, record) })
        )
        let embedding = Embedding(context: Tensor([1, 2], shape: [1, 1, 2]))
        prompts = Prompts(positive: embedding, negative: embedding)
        (self.fleet, self.ownPace, self.overlaps) = (fleet, ownPace, overlaps)
    }

    /// Runs steps that each need all of the one before, and repeats those that are thrown away.
    ///
    /// - Parameters:
    ///   - more: number of views in each step
    ///   - isLast: whether the render ends with these steps; then the remaining checks are computed
    /// - Returns: the result of these steps
    package mutating func run(_ more: [Int], isLast: Bool = false) -> Outcome {
        run([more.map { StepFlow.Step(windows: [], lattices: $0) }], isLast: isLast)
    }

    /// Runs phases, and repeats those of their steps that are thrown away.
    ///
    /// - Parameters:
    ///   - more: steps of each phase
    ///   - isLast: whether the render ends with these phases; then the remaining checks are computed
    /// - Returns: the result of these phases
    package mutating func run(_ more: [[StepFlow.Step]], isLast: Bool = false) -> Outcome {
        for phase in more {
            phases += 1
            steps += phase.map { (phases, $0) }
        }
        var outcome = Outcome()
        while true {
            while state.step < steps.count { runStep(&outcome) }
            guard isLast, settle(&outcome) else { return outcome }
        }
    }

    /// Computes the remaining checks.
    ///
    /// - Returns: whether a step has to be computed again
    private mutating func settle(_ outcome: inout Outcome) -> Bool {
        while true {
            let checks = state.takePending()
            guard !checks.isEmpty else { return false }
            let remote = checks.filter { !$0.isOwn }
            let result = fleet.run(0, checks: remote.map { [$0.answer.answerer.site] })
            judge(checks, remote, result, result.answerers, &outcome)
            if goBackIfWrong(&outcome) { return true }
        }
    }

    private mutating func runStep(_ outcome: inout Outcome) {
        let step = state.step
        let count = steps[step].step.count
        if begun != step || fleet.isOver {
            let rest = steps[step...].prefix { $0.phase == steps[step].phase }
            fleet.begin(StepFlow(rest.map(\.step), overlaps: overlaps))
        }
        outcome.ideal += idealTime(count, paces: fleet.paces(without: found))
        outcome.views += count
        let checks = state.takePending()
        let remote = checks.filter { !$0.isOwn }
        let result = fleet.runStep(checks: remote.map { [$0.answer.answerer.site] })
        judge(checks, remote, result, result.answerers.dropFirst(count), &outcome)
        begun = step + 1
        if goBackIfWrong(&outcome) {
            outcome.thrownAway += count
            begun = nil
            fleet.giveUp()
            return
        }
        state.take(
            result.answerers.prefix(count).enumerated().map { place, worker in
                guard let worker else { preconditionFailure("view \(place) has no answer") }
                return answer(view(place), by: worker)
            }
        )
        state.beginStep()
        snapshots.add(state.step, before: state.step, needed: state.earliestOpenStep)
    }

    /// Judges the checks that were computed along with a step.
    private mutating func judge(
        _ checks: [VerificationState.Check],
        _ remote: [VerificationState.Check],
        _ result: Fleet.Result,
        _ answerers: some Sequence<Int?>,
        _ outcome: inout Outcome
    ) {
        outcome.time += result.time
        outcome.dispatching += result.dispatching
        outcome.bytes += result.bytes
        outcome.checks += checks.count
        elapsed += result.time
        for check in checks where check.isOwn { judgeOwn(check) }
        for (check, worker) in zip(remote, answerers) { judge(check, worker) }
    }

    private mutating func judgeOwn(_ check: VerificationState.Check) {
        ownTime += ownPace
        let own = right(check.answer.unit)
        state.spend(check.answer.unit)
        if state.isGood(check, beside: own) {
            state.good(check, by: nil, mayAudit: false, at: 1)
        } else {
            state.wrong(check, own: own, at: 1)
        }
    }

    private mutating func judge(_ check: VerificationState.Check, _ worker: Int?) {
        let mayAskOwn = ownTime + ownPace <= elapsed * Self.ownShare
        guard let worker else {
            if mayAskOwn { state.askOwn(check) }
            return
        }
        let second = answer(check.answer.unit, by: worker)
        let opinion = Judgement.Opinion(result: second.result, kind: Self.kind)
        state.spend(check.answer.unit)
        if state.isGood(check, beside: opinion) {
            state.good(check, by: second, mayAudit: mayAskOwn, at: 1)
        } else {
            let third = right(check.answer.unit)
            state.decide(check, second, third: third, by: .coordinator, at: 1)
        }
    }

    private mutating func goBackIfWrong(_ outcome: inout Outcome) -> Bool {
        let wrong = Set(state.takeVerdicts().map(\.answerer.site))
        guard !wrong.isEmpty else { return false }
        precondition(wrong.isSubset(of: liars), "\(wrong) are blamed and did not lie")
        found.formUnion(wrong)
        for site in wrong.sorted(by: { $0.text < $1.text }) { fleet.distrust(site) }
        let now = state.step
        let (step, _) = snapshots.goBack(to: state.throwAway(wrong))
        state.goBack(to: step)
        outcome.thrownAway += steps[step..<now].reduce(0) { $0 + $1.step.count }
        return true
    }

    private func view(_ place: Int) -> WorkUnit {
        let values = (0..<4).map { Float(($0 * 31 + place * 7 + state.step) % 13) / 4 }
        return .view(
            place,
            Tensor(values, shape: [1, 1, 1, 4]),
            timestep: 1,
            guidance: 7,
            prompts: prompts
        )
    }

    /// A worker's answer, with 0.01 added if it lies.
    private mutating func answer(_ unit: WorkUnit, by worker: Int) -> UnitAnswer {
        let member = fleet.member(worker)
        let site = HostID(member.host ?? "worker \(worker)")
        answered[site, default: 0] += 1
        let isLie = member.lieInterval.map { answered[site, default: 0] % $0 == 0 } ?? false
        if isLie { liars.insert(site) }
        return UnitAnswer(
            unit: unit,
            result: WorkResult(tensor: unit.input.map { isLie ? $0 + 0.01 : $0 }),
            answerer: Answerer(worker: site.text, site: site, kind: Self.kind)
        )
    }

    private func right(_ unit: WorkUnit) -> Judgement.Opinion {
        .init(result: WorkResult(tensor: unit.input), kind: Self.kind, isOwn: true)
    }
}
