import Engine
import Protocol
import Sampling

/// One render on a cluster. `evaluate` blocks the render thread; `cancel` may be called from any thread.
package final class ClusterJob: UnitRenderer {
    let id: UInt64
    private let mailbox: Mailbox<ClusterCommand>
    private let board: ClusterBoard

    init(id: UInt64, mailbox: Mailbox<ClusterCommand>, board: ClusterBoard) {
        (self.id, self.mailbox, self.board) = (id, mailbox, board)
    }

    deinit { end() }

    package func evaluate(
        _ units: [WorkUnit],
        onDone: (Int) throws -> Void
    ) throws -> [WorkResult] {
        try evaluate(units, checks: [], onDone: onDone).results
    }

    /// Evaluates units, and computes others a second time meanwhile.
    ///
    /// - Parameters:
    ///   - units: as for `UnitRenderer`
    ///   - checks: units that were answered before
    ///   - onDone: as for `UnitRenderer`, without the checks
    /// - Returns: the results, and who answered
    /// - Throws: as for `UnitRenderer`
    func evaluate(
        _ units: [WorkUnit],
        checks: [CheckRequest],
        onDone: (Int) throws -> Void
    ) throws -> AnsweredBatch {
        guard !units.isEmpty || !checks.isEmpty else { return AnsweredBatch() }
        let reports = BlockingQueue<BatchReport>()
        let request = BatchRequest(units: units, checks: checks)
        try board.post(.run(request, job: id, reports), to: mailbox)
        var results = [WorkResult?](repeating: nil, count: units.count)
        var parts = [[UnitAnswer]](repeating: [], count: units.count)
        var answered = AnsweredBatch(checks: Array(repeating: nil, count: checks.count))
        while true {
            switch reports.take() {
            case .done(let place, let result, let answers):
                precondition(results[place] == nil, "unit \(place) was answered twice")
                results[place] = result
                parts[place] = answers
                do {
                    try onDone(place)
                } catch {
                    mailbox.post(.abandon(job: id))
                    throw error
                }
            case .checked(let place, let answer): answered.checks[place] = answer
            case .complete:
                answered.results = results.compactMap(\.self)
                answered.answers = parts.flatMap(\.self)
                precondition(answered.results.count == units.count, "\(answered.results.count)")
                return answered
            case .failed(let error):
                throw error
            }
        }
    }

    /// Gives a site no more work until this job ends.
    ///
    /// - Parameters:
    ///   - site: whose answers were wrong
    ///   - reason: for the error where no worker is left
    /// - Returns: who is left
    /// - Throws: why the cluster has ended
    func distrust(_ site: HostID, because reason: String) throws -> RemainingWorkers {
        let reply = BlockingQueue<RemainingWorkers>()
        try board.post(.distrust(site, job: id, reason: reason, reply), to: mailbox)
        return reply.take()
    }

    /// Ends the running call and all later ones with `RenderCancelled`; workers drop units that they have not begun.
    package func cancel() { mailbox.post(.cancel(job: id)) }

    /// Changes its share of the workers beside other jobs, from its next batch on.
    package func setWeight(_ weight: Double) { mailbox.post(.weigh(job: id, weight)) }

    /// Closes the job. Later calls of `evaluate` fail.
    package func end() { mailbox.post(.end(job: id)) }
}

/// Messages from other threads to the coordinator's thread.
enum ClusterCommand: Sendable {
    case open(OpenJob)
    case weigh(job: UInt64, Double)
    case run(BatchRequest, job: UInt64, BlockingQueue<BatchReport>)
    /// Answers of a site were wrong.
    case distrust(HostID, job: UInt64, reason: String, BlockingQueue<RemainingWorkers>)
    /// Nobody waits for the job's batch any more.
    case abandon(job: UInt64)
    case cancel(job: UInt64)
    case end(job: UInt64)
    case processEnded(name: String, process: Int32, account: String)
    /// A person was told what is wrong with a worker.
    case explained(name: String)
    /// A question to one worker, past the dispatcher.
    case probe(ProbeRequest)
    /// A chunk of the model for a peer, by the key that it has authenticated with, and the bytes of the whole model.
    case served([UInt8], PublicKey, ChunkAnswer, total: Int)
    case closed
    case stop
}

/// Who is left to compute when a site has been set aside.
enum RemainingWorkers: Equatable, Sendable {
    case others
    /// Nobody. A batch waits this long for a worker that connects to the endpoint.
    case noneYet(patience: Duration, endpoint: String)
    /// Nobody, and nobody else can join.
    case nobody
}

/// Messages from the coordinator's thread to the render thread about a batch.
enum BatchReport: Sendable {
    /// The index of a unit, its result, and the answers that it is made of.
    case done(Int, WorkResult, [UnitAnswer])
    /// The index of a check, and its answer.
    case checked(Int, UnitAnswer)
    case complete
    case failed(any Error)
}

/// A job, as the coordinator's thread stores it.
struct OpenJob: Sendable {
    let message: CoordinatorMessage.Job
    let model: ModelGeometry
    /// Its share of the workers beside other jobs.
    var weight = 1.0
    var isCancelled = false
    /// Which worker keeps each tile.
    var homes: [TileID: WorkerID] = [:]
    /// Sites whose answers it found wrong.
    var distrusted: Set<HostID> = []
}
