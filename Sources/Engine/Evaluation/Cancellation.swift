import Synchronization

/// Tells a computation on another thread that its result is no longer wanted.
package final class Cancellation: Sendable {
    private let happened = Atomic<Bool>(false)

    package init() {}

    /// Requests that the computation stop; callable from any thread.
    package func cancel() { happened.store(true, ordering: .relaxed) }

    package var isCancelled: Bool { happened.load(ordering: .relaxed) }

    /// Throws if cancellation was requested. Networks call this between their blocks.
    ///
    /// - Throws: `ComputationCancelled`
    package func check() throws(ComputationCancelled) {
        if isCancelled { throw ComputationCancelled() }
    }
}

/// A computation stopped early because its result is not wanted.
package struct ComputationCancelled: Error, Equatable, CustomStringConvertible {
    package init() {}
    package var description: String { "cancelled" }
}
