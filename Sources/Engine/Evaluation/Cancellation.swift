import Synchronization

/// Tells a computation on another thread that nobody wants its result any more.
package final class Cancellation: Sendable {
    private let happened = Atomic<Bool>(false)

    package init() {}

    /// Asks the computation to end; from any thread.
    package func cancel() { happened.store(true, ordering: .relaxed) }

    package var isCancelled: Bool { happened.load(ordering: .relaxed) }

    /// Ends the computation if it was asked to. Networks call this between their blocks.
    ///
    /// - Throws: `ComputationCancelled`
    package func check() throws(ComputationCancelled) {
        if isCancelled { throw ComputationCancelled() }
    }
}

/// A computation ended before its time because its result is not wanted.
package struct ComputationCancelled: Error, Equatable, CustomStringConvertible {
    package init() {}
    package var description: String { "cancelled" }
}
