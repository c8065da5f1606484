import Engine
import Protocol

/// What a test has measured of one worker.
package struct WorkerFacts: Sendable {
    package var name: String
    /// Backend, precision and device: workers of one kind must give the same bytes.
    package var kind: String
    package var isExact: Bool
    package var threads: Int
    package var version: UInt32
    /// Fingerprint of its key; nil without keys.
    package var key: String?
    package var report: WorkerReport?
    /// Shortest round trip, and the worker's clock less the coordinator's then, in seconds.
    package var roundTrip: Double?
    package var clock: Double?
    /// Bytes per second to the worker and back.
    package var toWorker: Double?
    package var fromWorker: Double?
    /// Seconds for the view.
    package var view: Double?
    package var result: Tensor?
    /// Why something is missing.
    package var failure: String?

    package init(name: String, kind: String, isExact: Bool, threads: Int) {
        (self.name, self.kind, self.isExact) = (name, kind, isExact)
        self.threads = threads
        version = protocolVersion
    }
}
