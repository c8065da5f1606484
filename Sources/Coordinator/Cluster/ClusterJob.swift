import Engine
import Protocol
import Sampling

/// One render on a cluster. `evaluate` blocks the render thread; `cancel` may be called from any thread.
package final class ClusterJob: UnitRenderer {
    private let id: UInt64
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
        guard !units.isEmpty else { return [] }
        let reports = BlockingQueue<BatchReport>()
        try board.post(.run(units, job: id, reports), to: mailbox)
        var results = [WorkResult?](repeating: nil, count: units.count)
        while true {
            switch reports.take() {
            case .done(let place, let result):
                precondition(results[place] == nil, "unit \(place) was answered twice")
                results[place] = result
                do {
                    try onDone(place)
                } catch {
                    mailbox.post(.abandon(job: id))
                    throw error
                }
            case .complete:
                let complete = results.compactMap(\.self)
                precondition(complete.count == units.count, "\(complete.count) of \(units.count)")
                return complete
            case .failed(let error):
                throw error
            }
        }
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
    case run([WorkUnit], job: UInt64, BlockingQueue<BatchReport>)
    /// Nobody waits for the job's batch any more.
    case abandon(job: UInt64)
    case cancel(job: UInt64)
    case end(job: UInt64)
    case processEnded(name: String, process: Int32, account: String)
    /// A person was told what is wrong with a worker.
    case explained(name: String)
    /// A chunk of the model for a peer, by the key that it has authenticated with, and the bytes of the whole model.
    case served([UInt8], PublicKey, ChunkAnswer, total: Int)
    case closed
    case stop
}

/// Messages from the coordinator's thread to the render thread about a batch.
enum BatchReport: Sendable {
    case done(Int, WorkResult)
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
}
