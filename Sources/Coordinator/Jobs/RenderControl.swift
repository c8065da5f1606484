import Engine
import Synchronization

/// Cancels one render, from any thread, before it begins or while it runs; later it has no effect.
package final class RenderControl: Sendable {
    /// Cancels computations in this process.
    package let cancellation = Cancellation()
    private let job = Mutex<ClusterJob?>(nil)

    package init() {}

    /// Ends the render with `RenderCancelled`; others on the same cluster continue.
    package func cancel() {
        cancellation.cancel()
        job.withLock { $0 }?.cancel()
    }

    /// - Throws: `RenderCancelled` if it was cancelled
    func check() throws(RenderCancelled) {
        if cancellation.isCancelled { throw RenderCancelled() }
    }

    /// Includes a job: it is cancelled with the render, or at once if the render was cancelled already.
    func attach(_ job: ClusterJob) {
        self.job.withLock { $0 = job }
        if cancellation.isCancelled { job.cancel() }
    }

    /// The job has ended.
    func detach() { job.withLock { $0 = nil } }
}
