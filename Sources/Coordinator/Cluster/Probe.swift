import Engine
import Protocol

/// A question to one worker, bypassing the dispatcher.
package enum ProbeQuestion: Sendable {
    /// The state of its host; `load` floats are carried there and `floats` back, to measure the link.
    case report(load: Int, floats: Int)
    /// The result of a unit of an open job.
    case unit(WorkUnit, ClusterJob)
}

/// A worker's reply. Times of messages are by the coordinator's clock.
package enum ProbeReply: Sendable {
    /// A report, and when the inquiry left and the report arrived, in seconds since 1970.
    case report(WorkerReport, sent: Double, came: Double)
    /// A result, and the worker's own measurement of its computing time.
    case result(WorkResult, spent: Duration)
    case failed(String)
}

/// A question on its way to the coordinator's thread.
struct ProbeRequest: Sendable {
    let worker: String
    let question: ProbeQuestion
    let reply: BlockingQueue<ProbeReply>
}

/// A question that a worker has not answered yet.
struct RunningProbe {
    let worker: WorkerID
    /// When it was sent, in seconds since 1970.
    let sent: Double
    /// The unit, and the model that its result must fit.
    let unit: (WorkUnit, ModelGeometry)?
    let reply: BlockingQueue<ProbeReply>
}
