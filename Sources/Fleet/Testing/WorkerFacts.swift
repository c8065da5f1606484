import Engine
import Protocol

/// What a test has measured about one worker.
package struct WorkerFacts: Sendable {
    package var name: String
    /// Backend, precision and device: workers of the same kind must return identical bytes.
    package var kind: String
    package var isExact: Bool
    package var threads: Int
    package var version: UInt32
    /// Fingerprint of its key; nil without keys.
    package var key: String?
    package var report: WorkerReport?
    /// Shortest round trip, and the worker's clock minus the coordinator's during that, in seconds.
    package var roundTrip: Double?
    package var clock: Double?
    /// Bandwidth to the worker and back, in bytes per second.
    package var toWorker: Double?
    package var fromWorker: Double?
    /// Time for the view, in seconds.
    package var view: Double?
    package var result: Tensor?
    /// Why a measurement is missing.
    package var failure: String?

    package init(name: String, kind: String, isExact: Bool, threads: Int) {
        (self.name, self.kind, self.isExact) = (name, kind, isExact)
        self.threads = threads
        version = protocolVersion
    }
}
