import Coordinator
import Synchronization

/// What has been rendered since the service was started.
package final class RenderCounters: Sendable {
    package struct Values: Equatable, Sendable {
        package var pictures = 0
        package var failures = 0
        package var seconds = 0.0
        package var evaluations = 0
        package var latentBytes = 0
        package var tileBytes = 0
    }

    private let state = Mutex(Values())

    package init() {}

    package var values: Values { state.withLock { $0 } }

    func add(_ outcome: RenderOutcome, seconds: Double) {
        state.withLock {
            $0.pictures += 1
            $0.seconds += seconds
            $0.evaluations += outcome.unetCalls
            $0.latentBytes += outcome.tally.viewBytes
            $0.tileBytes += outcome.tally.decodeBytes + outcome.tally.encodeBytes
        }
    }

    func addFailure() { state.withLock { $0.failures += 1 } }
}
