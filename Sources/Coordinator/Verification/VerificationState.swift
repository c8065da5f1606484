import Engine
import Protocol

/// Decides what is checked next, and what follows from checks. Answers in, decisions out; no clock, no I/O.
package struct VerificationState: Sendable {
    /// An answer to be computed a second time, by another site or by the coordinator.
    package struct Check: Sendable {
        package let answer: UnitAnswer
        /// Answer of another site that agreed with it: this check is then an audit of both.
        var second: UnitAnswer?
        /// The step of the answer.
        let step: Int
        /// Whether the coordinator computes it.
        package fileprivate(set) var isOwn = false
        /// Batch and index of the answer, as a key for random numbers.
        let batch: Int
        let index: Int
    }

    /// What is known about each site.
    private(set) var records: [HostID: SiteRecord]
    package private(set) var summary = CheckSummary()
    /// The step that is being computed, counted from 0 over all phases.
    package private(set) var step = 0
    private(set) var pending: [Check] = []

    private let share: VerifyShare
    private let model: ModelGeometry
    private var choice: CheckChoice
    private var contributions = Contributions()
    private var batch = 0
    /// Whether any answers come from other machines.
    private var hasOtherSites = false
    /// Wrong answers that have not been reported yet.
    private var found: [(answerer: Answerer, check: Check, distance: Double)] = []
    private var firstWrongStep: Int?

    package init(
        share: VerifyShare,
        seed: UInt64,
        model: ModelGeometry,
        records: [HostID: SiteRecord] = [:]
    ) {
        (self.share, self.model, self.records) = (share, model, records)
        choice = CheckChoice(share: share, seed: seed)
    }

    var checksAll: Bool { share == .all }

    /// The next step begins.
    package mutating func beginStep() { (step, batch) = (step + 1, 0) }

    /// Removes and returns the checks to compute now.
    package mutating func takePending() -> [Check] {
        defer { pending = [] }
        return pending
    }

    /// Has the coordinator compute a check that no worker could.
    package mutating func askOwn(_ check: Check) {
        var check = check
        check.isOwn = true
        pending.append(check)
    }

    /// Whether two answers to the unit of a check agree.
    package func isGood(_ check: Check, beside second: Judgement.Opinion) -> Bool {
        Judgement.areAlike(opinion(check.answer), second, gain: check.answer.unit.gain)
    }

    /// A check confirmed its answer.
    ///
    /// - Parameters:
    ///   - check: the check
    ///   - second: the other site's answer; nil for the coordinator's
    ///   - mayAudit: whether the coordinator has time for an audit
    ///   - time: seconds since 1970
    package mutating func good(
        _ check: Check,
        by second: UnitAnswer?,
        mayAudit: Bool,
        at time: Double
    ) {
        summary.checked += 1
        let voucher = second?.answerer.site ?? .coordinator
        contributions.vouch(for: check.answer.answerer.site, in: check.step, by: voucher)
        note(check.answer.answerer.site, isGood: true, at: time)
        guard let second else { return }
        note(second.answerer.site, isGood: true, at: time)
        guard mayAudit, choice.isAudited((check.step, check.batch), check.index) else { return }
        var audit = check
        (audit.second, audit.isOwn) = (second, true)
        pending.append(audit)
    }

    /// The coordinator's own answer disagrees with that of a check: whoever gave it is wrong, and so is a site that
    /// vouched for it.
    package mutating func wrong(_ check: Check, own: Judgement.Opinion, at time: Double) {
        summary.checked += 1
        accuse(check.answer, check, beside: own, at: time)
        if let second = check.second,
            !Judgement.areAlike(opinion(second), own, gain: check.answer.unit.gain)
        {
            accuse(second, check, beside: own, at: time)
        }
    }

    /// The answers of two sites disagree, and a third decides.
    package mutating func decide(
        _ check: Check,
        _ second: UnitAnswer,
        third: Judgement.Opinion,
        by site: HostID,
        at time: Double
    ) {
        summary.checked += 1
        let judgement = Judgement.between(
            opinion(check.answer),
            opinion(second),
            third: third,
            gain: check.answer.unit.gain
        )
        if judgement == .undecided { summary.undecided += 1 }
        if judgement.firstIsWrong { accuse(check.answer, check, beside: third, at: time) }
        if judgement.secondIsWrong {
            accuse(second, check, beside: third, at: time)
            if !judgement.firstIsWrong {
                contributions.vouch(for: check.answer.answerer.site, in: check.step, by: site)
            }
        }
    }

    /// The sites found to be wrong since the last call, and why.
    package mutating func takeVerdicts() -> [(answerer: Answerer, check: Check, distance: Double)] {
        defer { found = [] }
        var sites: Set<HostID> = []
        return found.filter { sites.insert($0.answerer.site).inserted }
    }

    /// The answers of a batch have arrived, and are fused or about to be: chooses which to check.
    ///
    /// - Parameter answers: in the order of the units
    package mutating func take(_ answers: [UnitAnswer]) {
        batch += 1
        for answer in answers {
            contributions.answered(by: answer.answerer.site, in: step)
            hasOtherSites = hasOtherSites || answer.answerer.site != .here
        }
        // Only the coordinator could check them, on the same machine.
        guard checksAll || hasOtherSites else { return }
        let odd = checksAll ? answers.map { _ in false } : oddness(of: answers)
        let candidates = zip(answers, odd).map { answer, isOdd in
            CheckChoice.Candidate(
                site: answer.answerer.site,
                cost: max(1e-6, answer.unit.cost(model)),
                costOfCheck: max(1e-6, answer.unit.costElsewhere(model)),
                isOdd: isOdd
            )
        }
        let chosen = choice.choose(
            candidates,
            { [records] in records[$0] ?? SiteRecord() },
            key: (step, batch)
        )
        for index in chosen {
            pending.append(
                Check(
                    answer: answers[index].asCheck,
                    step: step,
                    batch: batch,
                    index: index
                )
            )
        }
    }

    /// The earliest step that may have to be repeated.
    package var earliestOpenStep: Int? { contributions.earliestOpenStep(all: checksAll) }

    /// Accuses wrong sites, and returns the first step of which something must be discarded.
    package mutating func throwAway(_ wrong: Set<HostID>) -> Int {
        summary.returns += 1
        let first = contributions.accuse(wrong, all: checksAll) ?? step
        let target = min(first, firstWrongStep ?? step, step)
        firstWrongStep = nil
        return target
    }

    /// The render continues from the state before a step.
    package mutating func goBack(to step: Int) {
        contributions.rollBack(to: step)
        pending.removeAll { $0.step >= step }
        (self.step, batch) = (step, 0)
    }

    /// Counts what a check costs.
    package mutating func spend(_ unit: WorkUnit) {
        if case .predict(let view) = unit.work { summary.evaluations += view.conditioning.count }
    }

    private mutating func accuse(
        _ answer: UnitAnswer,
        _ check: Check,
        beside third: Judgement.Opinion,
        at time: Double
    ) {
        summary.addWrong(answer.answerer)
        note(answer.answerer.site, isGood: false, at: time)
        firstWrongStep = min(firstWrongStep ?? check.step, check.step)
        let distance = AnswerDistance.between(answer.result, third.result)
        found.append((answer.answerer, check, distance))
    }

    private mutating func note(_ site: HostID, isGood: Bool, at time: Double) {
        records[site, default: SiteRecord()].note(isGood: isGood, at: time)
    }

    private func opinion(_ answer: UnitAnswer) -> Judgement.Opinion {
        .init(result: answer.result, kind: answer.answerer.kind)
    }

    /// Halves of guided views are compared with each other, and tiles with nothing.
    private func oddness(of answers: [UnitAnswer]) -> [Bool] {
        var groups: [Int: [Int]] = [:]
        for (index, answer) in answers.enumerated() {
            guard case .predict(let view) = answer.unit.work else { continue }
            groups[view.conditioning.count, default: []].append(index)
        }
        var odd = [Bool](repeating: false, count: answers.count)
        for indices in groups.values {
            let samples = indices.map { index in
                let moments = answers[index].result.tensor?.meanAndDeviation()
                return Oddness.Sample(
                    mean: Double(moments?.mean ?? 0),
                    deviation: Double(moments?.deviation ?? 0),
                    place: answers[index].unit.place
                )
            }
            for (index, isOdd) in zip(indices, Oddness.odd(among: samples)) { odd[index] = isOdd }
        }
        return odd
    }
}

extension HostID {
    /// Stands for the coordinator's own computation; workers on the same machine are not part of it.
    package static let coordinator = HostID("the coordinator")
}

extension WorkUnit {
    /// Factor by which guidance may amplify the difference between two answers.
    var gain: Double {
        guard case .predict(let view) = work else { return 1 }
        return max(1, Double(view.gain))
    }
}

extension UnitAnswer {
    /// The answer with a unit that leaves nothing behind on the worker that computes it again.
    var asCheck: UnitAnswer {
        guard case .autoencode(let half, var part?) = unit.work else { return self }
        part.tile = nil
        var unit = unit
        unit.work = .autoencode(half, part)
        return UnitAnswer(unit: unit, result: result, answerer: answerer)
    }
}
