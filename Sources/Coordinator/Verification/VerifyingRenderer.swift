import Engine
import Foundation
import Logging
import Protocol
import Sampling
import Synchronization

/// Evaluates units on a cluster, and has some answers computed a second time by workers of other sites, together with
/// the next batch. `VerificationState` decides; this class carries it out.
///
/// If answers are wrong it throws `WrongAnswers`, and the caller continues from `goBack`. All calls come from the
/// render thread.
package final class VerifyingRenderer: UnitRenderer {
    private let job: ClusterJob
    private let own: LocalRenderer?
    /// Whether the coordinator also computes checks, besides settling disagreements.
    private let usesOwn: Bool
    private let checksAll: Bool
    private let logger: Logger
    private let book: SiteBook?
    private let core: Mutex<Core>

    private struct Core {
        var state: VerificationState
        var states = KeptStates(first: nil, latentBytes: 1, folder: nil)
        /// Kind of the units of the pending checks.
        var kind: DispatcherState.Kind?
        /// Time that the coordinator has spent on checks.
        var ownTime: Duration = .zero
        var ownChecks = 0
        /// Set when nobody is left to compute and nobody can join.
        var ending: ClusterUnavailable?
        let start = ContinuousClock.now
    }

    /// Maximum share of the time that the coordinator spends on checks, unless all answers are checked.
    private static let ownShare = 0.02

    /// - Parameters:
    ///   - job: the workers
    ///   - share: how many answers are checked
    ///   - seed: the render's random seed
    ///   - model: the model's geometry
    ///   - own: the coordinator's own renderer
    ///   - usesOwn: whether it may compute checks too, besides settling disagreements
    ///   - book: records of sites
    ///   - logger: logs who was wrong
    init(
        _ job: ClusterJob,
        share: VerifyShare,
        seed: UInt64,
        model: ModelGeometry,
        own: LocalRenderer?,
        usesOwn: Bool,
        book: SiteBook?,
        logger: Logger
    ) {
        (self.job, self.own, self.usesOwn, self.book) = (job, own, usesOwn, book)
        self.logger = logger
        checksAll = share == .all
        core = Mutex(
            Core(
                state: VerificationState(
                    share: share,
                    seed: seed,
                    model: model,
                    records: book?.records() ?? [:]
                )
            )
        )
    }

    package var summary: CheckSummary { core.withLock { $0.state.summary } }

    /// The render begins.
    ///
    /// - Parameters:
    ///   - start: the state that it continues from; nil for a new one
    ///   - latentBytes: size of the largest latent
    ///   - folder: folder for states that do not fit in memory; nil for none
    func begin(from start: Checkpoint?, latentBytes: Int, folder: String?) {
        core.withLock {
            $0.states = KeptStates(first: start, latentBytes: latentBytes, folder: folder)
        }
    }

    /// A step is done.
    ///
    /// - Parameter checkpoint: the state after it
    /// - Returns: the state to save: if all answers are checked, the newest one that depends on no unchecked answer
    func reached(_ checkpoint: Checkpoint) -> Checkpoint? {
        core.withLock { core in
            core.state.beginStep()
            core.states.add(
                checkpoint,
                before: core.state.step,
                needed: core.state.earliestOpenStep
            )
            guard checksAll, let open = core.state.pending.map(\.step).min() else {
                return checkpoint
            }
            return core.states.newest(atOrBefore: open)
        }
    }

    /// Why the render cannot continue; nil if it can.
    var ending: ClusterUnavailable? { core.withLock { $0.ending } }

    /// Goes back to an earlier state.
    ///
    /// - Parameters:
    ///   - error: says how far to go back
    ///   - read: reads a state from a file
    /// - Returns: the state to continue from; nil to start over
    func goBack(
        _ error: WrongAnswers,
        reading read: (String) throws -> Checkpoint
    ) -> Checkpoint? {
        var states = core.withLock { $0.states }
        let (step, state) = states.goBack(to: error.step, reading: read)
        core.withLock { [states] core in
            core.states = states
            core.state.goBack(to: step)
        }
        return state
    }

    package func evaluate(
        _ units: [WorkUnit],
        early: inout EarlyViews?,
        onDone: (Int) throws -> Void
    ) throws -> [WorkResult] {
        let kind = units.first?.kind
        if core.withLock({ $0.kind != kind }) { try settle() }
        core.withLock { $0.kind = kind }
        return try run(units, &early, onDone)
    }

    /// Computes all remaining checks.
    ///
    /// - Throws: `WrongAnswers`, and as `evaluate`
    func settle() throws {
        var none: EarlyViews?
        while core.withLock({ !$0.state.pending.isEmpty }) { _ = try run([], &none) { _ in } }
    }

    /// Saves the records of sites.
    func finish() {
        guard let book else { return }
        book.save(core.withLock { $0.state.records })
    }

    private func run(
        _ units: [WorkUnit],
        _ early: inout EarlyViews?,
        _ onDone: (Int) throws -> Void
    ) throws -> [WorkResult] {
        let due = core.withLock { $0.state.takePending() }
        let (local, remote) = (due.filter(\.isOwn), due.filter { !$0.isOwn })
        let answered: AnsweredBatch
        let computed: [WorkResult]
        do {
            let thread = compute(local)
            defer { thread?.thread.join() }
            answered = try job.evaluate(
                units,
                checks: remote.map {
                    CheckRequest(unit: $0.answer.unit, barred: [$0.answer.answerer.site])
                },
                early: &early,
                onDone: onDone
            )
            computed = try thread?.results.take().get() ?? []
        }
        for (check, result) in zip(local, computed) { judge(check, own: result) }
        for (check, second) in zip(remote, answered.checks) { try judge(check, second) }
        try throwIfWrong()
        core.withLock { $0.state.take(answered.answers) }
        return answered.results
    }

    /// Starts the coordinator's own checks.
    private func compute(
        _ checks: [VerificationState.Check]
    ) -> (thread: NamedThread, results: BlockingQueue<Result<[WorkResult], any Error>>)? {
        guard let own, !checks.isEmpty else { return nil }
        let results = BlockingQueue<Result<[WorkResult], any Error>>()
        let units = checks.map(\.answer.unit)
        let thread = NamedThread("checks", stack: 64 << 20) { [self] in
            let start = ContinuousClock.now
            results.put(Result { try own.evaluate(units) { _ in } })
            core.withLock {
                $0.ownTime += ContinuousClock.now - start
                $0.ownChecks += units.count
            }
        }
        return (thread, results)
    }

    private func judge(_ check: VerificationState.Check, own result: WorkResult) {
        guard let opinion = opinion(of: result) else { return }
        let time = Date().timeIntervalSince1970
        core.withLock { core in
            core.state.spend(check.answer.unit)
            if core.state.isGood(check, beside: opinion) {
                core.state.good(check, by: nil, mayAudit: false, at: time)
            } else {
                core.state.wrong(check, own: opinion, at: time)
            }
        }
    }

    private func judge(_ check: VerificationState.Check, _ second: UnitAnswer?) throws {
        let time = Date().timeIntervalSince1970
        guard let second else {
            // No independent worker could compute it. The coordinator does, but not for a worker on its own machine
            // unless all answers are checked.
            if mayAskOwn(), checksAll || check.answer.answerer.site != .here {
                core.withLock { $0.state.askOwn(check) }
            }
            return
        }
        let opinion = Judgement.Opinion(result: second.result, kind: second.answerer.kind)
        let isGood = core.withLock { core in
            core.state.spend(check.answer.unit)
            return core.state.isGood(check, beside: opinion)
        }
        if isGood {
            let mayAudit = mayAskOwn()
            core.withLock {
                $0.state.good(check, by: second, mayAudit: mayAudit, at: time)
            }
        } else if let (third, site) = try third(check.answer) {
            core.withLock {
                $0.state.spend(check.answer.unit)
                $0.state.decide(check, second, third: third, by: site, at: time)
            }
        }
    }

    /// A third answer if two disagree: the coordinator's. Another worker may collude with the wrong one.
    private func third(_ first: UnitAnswer) throws -> (Judgement.Opinion, HostID)? {
        guard let own, let result = try own.evaluate([first.unit], onDone: { _ in }).first,
            let opinion = opinion(of: result)
        else { return nil }
        return (opinion, .coordinator)
    }

    private func opinion(of result: WorkResult) -> Judgement.Opinion? {
        own.map {
            .init(result: result, kind: AnswerKind($0.evaluator.networks), isOwn: true)
        }
    }

    /// Whether the coordinator has time for another check.
    private func mayAskOwn() -> Bool {
        guard own != nil else { return false }
        if checksAll { return true }
        guard usesOwn else { return false }
        return core.withLock { core in
            guard core.ownChecks > 0 else { return !core.state.pending.contains(where: \.isOwn) }
            let elapsed = ContinuousClock.now - core.start
            let each = core.ownTime / core.ownChecks
            let waiting = core.state.pending.count(where: \.isOwn)
            return core.ownTime + each * (waiting + 1) <= elapsed * Self.ownShare
        }
    }

    /// Sets aside the sites that were found to be wrong.
    ///
    /// - Throws: `WrongAnswers` if there are any, or why the cluster has ended
    private func throwIfWrong() throws {
        let (verdicts, step) = core.withLock { core -> ([Verdict], Int) in
            let verdicts = core.state.takeVerdicts()
            guard !verdicts.isEmpty else { return ([], 0) }
            return (verdicts, core.state.throwAway(Set(verdicts.map(\.answerer.site))))
        }
        guard !verdicts.isEmpty else { return }
        let reasons = verdicts.map(Self.reason)
        var remaining = RemainingWorkers.others
        for (verdict, reason) in zip(verdicts, reasons) {
            remaining = try job.distrust(verdict.answerer.site, because: reason)
        }
        for (place, reason) in reasons.enumerated() {
            let isLast = place == reasons.count - 1
            logger.warning("\(reason). \(Self.consequence(isLast ? remaining : .others))")
        }
        if remaining == .nobody {
            core.withLock {
                $0.ending = ClusterUnavailable(
                    "no worker is left whose answers are right: \(reasons.joined(separator: "; ")). Test the memory and "
                        + "GPU of that machine, take back any overclocking, and render on another one"
                )
            }
        }
        throw WrongAnswers(step: step, reason: reasons.joined(separator: "; "))
    }

    /// What follows for the render, and what to do if it has no workers now.
    private static func consequence(_ remaining: RemainingWorkers) -> String {
        let usual =
            "Its host gets no more work from this render, and what it computed since its last good check is computed again"
        switch remaining {
        case .others: return usual
        case .nobody: return "\(usual). No other host can join, so the render ends"
        case .noneYet(let patience, let endpoint):
            return
                "\(usual). No other host is connected: the render waits \(patience.components.seconds) s for one, and then "
                + "ends, to be continued with tessera resume. Start a worker on another machine (tessera worker --connect "
                + "\(endpoint)), and test the memory and GPU of this one"
        }
    }

    private typealias Verdict = (
        answerer: Answerer, check: VerificationState.Check, distance: Double
    )

    private static func reason(_ verdict: Verdict) -> String {
        let distance =
            verdict.distance.isFinite
            ? String(format: " (by %.2g standard deviations)", verdict.distance) : ""
        return
            "worker \(verdict.answerer.worker) on \(verdict.answerer.site) answers wrongly: its answer to "
            + "\(verdict.check.answer.unit.name) differs from what others compute\(distance)"
    }
}
