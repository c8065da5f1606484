import Engine
import Synchronization

/// Ends one render, from any thread: before it begins, while it runs, or to no effect after it.
package final class RenderControl: Sendable {
    /// For computations of this process.
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

    /// Cancels the job, too, now or later.
    func attach(_ job: ClusterJob) {
        self.job.withLock { $0 = job }
        if cancellation.isCancelled { job.cancel() }
    }

    /// The job has ended.
    func detach() { job.withLock { $0 = nil } }
}
