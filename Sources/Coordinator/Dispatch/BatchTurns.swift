/// Decides which job's batch is next when several renders share a cluster: start-time fair queueing (Goyal, Vin and
/// Cheng, 1996) over the time that batches take. Pure.
///
/// A batch is the views or tiles of a step, and runs to its end. While no other job waits, a job's batch goes on with
/// its next step (`goOn`); while others wait, its next step queues with theirs. The job that has had least time for its
/// weight goes next, so many steps of a small picture fit between two of a large one. Between its steps a job briefly
/// has no batch; other jobs' batches wait for it, but only for a share of the time that they will take (`patience`).
package struct BatchTurns: Equatable, Sendable {
    /// What happens next.
    package enum Choice: Equatable, Sendable {
        case begin(job: UInt64)
        /// A job whose turn it is will have a batch soon; until then none begins.
        case wait(until: Duration)
        /// No batch waits.
        case none
    }

    private struct Account: Equatable {
        var weight: Double
        /// Start of its next batch on the virtual clock: seconds of batches, divided by weights.
        var start: Double
        /// When its last batch ended; nil while one waits or runs.
        var idleSince: Duration?
        /// How long its last batch ran.
        var lastTime = Duration.zero
    }

    private var accounts: [UInt64: Account] = [:]
    /// Jobs with a waiting batch, in order of arrival.
    private var waiting: [UInt64] = []
    private var running: (job: UInt64, since: Duration)?
    /// The virtual clock: start of the batch that began last.
    private var clock = 0.0

    /// How long a batch waits for a job that has had less: a share of its own expected time, and the maximum.
    package static let patience = (share: 0.02, longest: Duration.seconds(1))

    package init() {}

    /// Weight of a priority: ten more doubles the share, up to sixteen times.
    package static func weight(priority: Int) -> Double {
        let doublings = min(max(Double(priority) / 10, -4), 4)
        var weight = 1.0
        for _ in 0..<Int(abs(doublings)) { weight *= doublings > 0 ? 2 : 0.5 }
        // Between two doublings the share grows linearly.
        let rest = abs(doublings) - abs(doublings).rounded(.down)
        return weight * (doublings > 0 ? 1 + rest : 1 - rest / 2)
    }

    /// A job begins. It has no claim to the time that others had before.
    package mutating func open(_ job: UInt64, weight: Double) {
        accounts[job] = Account(weight: weight, start: clock)
    }

    /// Changes a job's weight from its next batch on.
    package mutating func weigh(_ job: UInt64, _ weight: Double) { accounts[job]?.weight = weight }

    /// A job has ended or is cancelled: nobody waits for its next batch.
    package mutating func close(_ job: UInt64) {
        accounts[job] = nil
        waiting.removeAll { $0 == job }
        if running?.job == job { running = nil }
    }

    /// A job has a batch to run. Each has one at a time.
    package mutating func submit(_ job: UInt64) {
        accounts[job]?.idleSince = nil
        waiting.append(job)
    }

    /// A job's batch will not run.
    package mutating func withdraw(_ job: UInt64) { waiting.removeAll { $0 == job } }

    /// The running batch has ended.
    package mutating func ended(at now: Duration) {
        guard let running else { return }
        self.running = nil
        guard var account = accounts[running.job] else { return }
        account.idleSince = waiting.contains(running.job) ? nil : now
        account.lastTime = now - running.since
        account.start = clock + account.lastTime / .seconds(1) / account.weight
        accounts[running.job] = account
    }

    /// The running batch goes on with another step, which counts as its job's next batch.
    package mutating func goOn(at now: Duration) {
        guard let job = running?.job else { return }
        ended(at: now)
        guard let account = accounts[job] else { return }
        accounts[job]?.idleSince = nil
        (running, clock) = ((job, now), max(clock, account.start))
    }

    /// Whether a batch waits although none runs.
    package var isHolding: Bool { running == nil && !waiting.isEmpty }

    /// Chooses what happens next, and records it.
    package mutating func next(at now: Duration) -> Choice {
        guard running == nil, let index = first else { return .none }
        let job = waiting[index]
        let start = max(clock, accounts[job]?.start ?? clock)
        if let end = waits(job, start: start, at: now) { return .wait(until: end) }
        waiting.remove(at: index)
        running = (job, now)
        clock = start
        return .begin(job: job)
    }

    /// Index of the waiting batch that starts first on the clock; ties go to the one that arrived first.
    private var first: Int? {
        func start(_ index: Int) -> Double {
            max(clock, accounts[waiting[index]]?.start ?? clock)
        }
        return waiting.indices.min { (start($0), $0) < (start($1), $1) }
    }

    /// Until when a batch waits for jobs that have had less; nil if it need not.
    private func waits(_ job: UInt64, start: Double, at now: Duration) -> Duration? {
        let time = accounts[job]?.lastTime ?? .zero
        let patience = min(time * Self.patience.share, Self.patience.longest)
        let ends = accounts.compactMap { id, account -> Duration? in
            guard id != job, account.start < start, let since = account.idleSince else {
                return nil
            }
            return since + patience
        }
        guard let end = ends.max(), end > now else { return nil }
        return end
    }

    package static func == (a: BatchTurns, b: BatchTurns) -> Bool {
        (a.accounts, a.waiting, a.clock) == (b.accounts, b.waiting, b.clock)
            && a.running?.job == b.running?.job && a.running?.since == b.running?.since
    }
}
