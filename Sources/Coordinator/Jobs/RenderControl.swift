import Engine
import Synchronization

/// Cancels one render from any thread, before it begins or while it runs; afterwards it has no effect.
package final class RenderControl: Sendable {
    /// Cancels computations in this process.
    package let cancellation = Cancellation()
    private struct State {
        var job: ClusterJob?
        /// Share of the workers; nil until it is changed.
        var weight: Double?
    }

    private let state = Mutex(State())

    package init() {}

    /// Ends the render with `RenderCancelled`; others on the same cluster continue.
    package func cancel() {
        cancellation.cancel()
        state.withLock { $0.job }?.cancel()
    }

    /// Changes the render's share of the workers relative to other renders on the same cluster, from its next step on.
    package func setWeight(_ weight: Double) {
        let job = state.withLock { state in
            state.weight = weight
            return state.job
        }
        job?.setWeight(weight)
    }

    /// - Throws: `RenderCancelled` if it was cancelled
    func check() throws(RenderCancelled) {
        if cancellation.isCancelled { throw RenderCancelled() }
    }

    /// Attaches a job, which is cancelled with the render, or at once if the render was cancelled already.
    func attach(_ job: ClusterJob) {
        let weight = state.withLock { state in
            state.job = job
            return state.weight
        }
        if let weight { job.setWeight(weight) }
        if cancellation.isCancelled { job.cancel() }
    }

    /// The job has ended.
    func detach() { state.withLock { $0.job = nil } }
}
