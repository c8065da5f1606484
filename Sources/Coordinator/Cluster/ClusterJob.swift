import Engine
import Protocol
import Sampling
import Synchronization

/// One render on a cluster. `evaluate` blocks the render thread; `cancel` may be called from any thread.
package final class ClusterJob: UnitRenderer {
    let id: UInt64
    private let mailbox: Mailbox<ClusterCommand>
    private let board: ClusterBoard
    /// What was begun early of the next step, between calls.
    private let begun = Mutex(BegunStep())

    init(id: UInt64, mailbox: Mailbox<ClusterCommand>, board: ClusterBoard) {
        (self.id, self.mailbox, self.board) = (id, mailbox, board)
    }

    deinit { end() }

    package func evaluate(
        _ units: [WorkUnit],
        early: inout EarlyViews?,
        onDone: (Int) throws -> Void
    ) throws -> [WorkResult] {
        try evaluate(units, checks: [], early: &early, onDone: onDone).results
    }

    /// Evaluates units, and meanwhile has others computed a second time.
    ///
    /// - Parameters:
    ///   - units: as for `UnitRenderer`
    ///   - checks: units to compute again, which were answered before
    ///   - early: as for `UnitRenderer`
    ///   - onDone: as for `UnitRenderer`, without the checks
    /// - Returns: the results, and who answered
    /// - Throws: as for `UnitRenderer`
    func evaluate(
        _ units: [WorkUnit],
        checks: [CheckRequest],
        early: inout EarlyViews?,
        onDone: (Int) throws -> Void
    ) throws -> AnsweredBatch {
        guard !units.isEmpty || !checks.isEmpty else { return AnsweredBatch() }
        var step = StepAnswers(takeBegun(by: units), units: units.count, checks: checks.count)
        do {
            try evaluate(units, checks, &step, &early, onDone)
        } catch {
            mailbox.post(.abandon(job: id))
            throw error
        }
        begun.withLock { [next = step.next] in $0 = next }
        return step.batch
    }

    private func evaluate(
        _ units: [WorkUnit],
        _ checks: [CheckRequest],
        _ step: inout StepAnswers,
        _ early: inout EarlyViews?,
        _ onDone: (Int) throws -> Void
    ) throws {
        let done = try step.takeEarly()
        let missing = step.missing(of: units)
        if !missing.isEmpty || !checks.isEmpty {
            let request = BatchRequest(step: step.number, units: missing, checks: checks)
            try board.post(.run(request, job: id, step.reports), to: mailbox)
        }
        for index in done { try take(index, &step, &early, onDone) }
        guard !missing.isEmpty || !checks.isEmpty else { return }
        while true {
            switch try step.wait() {
            case .done(let index): try take(index, &step, &early, onDone)
            case .complete: return
            case .other: break
            }
        }
    }

    /// A unit is done: begins whatever can be begun of the next step.
    private func take(
        _ index: Int,
        _ step: inout StepAnswers,
        _ early: inout EarlyViews?,
        _ onDone: (Int) throws -> Void
    ) throws {
        try onDone(index)
        guard let prediction = step.prediction(index),
            let views = try early?.predicted(index, prediction), !views.isEmpty
        else { return }
        step.begin(views)
        try board.post(.begin(views, step: step.next.number, job: id), to: mailbox)
    }

    /// What was begun early of a step, if it belongs to these units. Otherwise nobody needs it, for instance after a
    /// return to an earlier state.
    private func takeBegun(by units: [WorkUnit]) -> BegunStep {
        var step = begun.withLock { begun in
            defer { begun = BegunStep(number: begun.number + 1) }
            return begun
        }
        if step.isBeginning(of: units) {
            // The step has the units itself.
            step.units = [:]
            return step
        }
        mailbox.post(.abandon(job: id))
        return BegunStep(number: step.number)
    }

    /// Drops what was begun early of the next step.
    private func dropBegun() {
        begun.withLock { $0 = BegunStep(number: $0.number) }
        mailbox.post(.abandon(job: id))
    }

    /// Gives a site no more work until this job ends.
    ///
    /// - Parameters:
    ///   - site: the site whose answers were wrong
    ///   - reason: for the error if no worker is left
    /// - Returns: who is left
    /// - Throws: why the cluster has ended
    func distrust(_ site: HostID, because reason: String) throws -> RemainingWorkers {
        dropBegun()
        let reply = BlockingQueue<RemainingWorkers>()
        try board.post(.distrust(site, job: id, reason: reason, reply), to: mailbox)
        return reply.take()
    }

    /// Ends the running call and all later ones with `RenderCancelled`; workers drop units that they have not begun.
    package func cancel() { mailbox.post(.cancel(job: id)) }

    /// Changes its share of the workers relative to other jobs, from its next batch on.
    package func setWeight(_ weight: Double) { mailbox.post(.weigh(job: id, weight)) }

    /// Closes the job. Later calls of `evaluate` fail.
    package func end() { mailbox.post(.end(job: id)) }
}

/// Messages from other threads to the coordinator's thread.
enum ClusterCommand: Sendable {
    case open(OpenJob)
    case weigh(job: UInt64, Double)
    case run(BatchRequest, job: UInt64, BlockingQueue<BatchReport>)
    /// Views of a step can be computed although the step has not been requested yet.
    case begin([EarlyView], step: Int, job: UInt64)
    /// Answers of a site were wrong.
    case distrust(HostID, job: UInt64, reason: String, BlockingQueue<RemainingWorkers>)
    /// Nobody waits for the job's batch any longer.
    case abandon(job: UInt64)
    case cancel(job: UInt64)
    case end(job: UInt64)
    case processEnded(name: String, process: Int32, account: String)
    /// The user was told what is wrong with a worker.
    case explained(name: String)
    /// A question to one worker, bypassing the dispatcher.
    case probe(ProbeRequest)
    /// A chunk of the model was read for a machine that lacks it.
    case served(ModelServer.Served)
    case closed
    case stop
}

/// Who is left to compute after a site was set aside.
enum RemainingWorkers: Equatable, Sendable {
    case others
    /// Nobody is left. A batch waits this long for a worker that connects to the endpoint.
    case noneYet(patience: Duration, endpoint: String)
    /// Nobody is left, and nobody else can join.
    case nobody
}

/// Messages from the coordinator's thread to the render thread about a batch.
enum BatchReport: Sendable {
    /// A unit of the requested step or of the next one: its result, and the answers that it is made of.
    case done(RunningBatch.Place, WorkResult, [UnitAnswer])
    /// The index of a check, and its answer.
    case checked(Int, UnitAnswer)
    /// Everything that was requested is done.
    case complete
    case failed(any Error)
}

/// A job, as the coordinator's thread stores it.
struct OpenJob: Sendable {
    let message: CoordinatorMessage.Job
    let model: ModelGeometry
    /// Its share of the workers relative to other jobs.
    var weight = 1.0
    var isCancelled = false
    /// Which worker keeps each tile.
    var homes: [TileID: WorkerID] = [:]
    /// Sites whose answers the job found wrong.
    var distrusted: Set<HostID> = []
}
