import Engine
import Protocol

/// What one worker is asked past the dispatcher.
package enum ProbeQuestion: Sendable {
    /// How its host is, carrying so many floats there and back.
    case report(load: Int, floats: Int)
    /// The result of a unit of a job that is open.
    case unit(WorkUnit, ClusterJob)
}

/// What came back. Times are the coordinator's.
package enum ProbeReply: Sendable {
    /// A report, and when the inquiry left and the report came: seconds since 1970.
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

/// A question that a worker has.
struct RunningProbe {
    let worker: WorkerID
    /// Seconds since 1970.
    let sent: Double
    /// The unit, and the model that its result must fit.
    let unit: (WorkUnit, ModelGeometry)?
    let reply: BlockingQueue<ProbeReply>
}
