import Engine
import Foundation
import Protocol
import Synchronization

/// Saves the state of a render on its own thread, while the render continues. If a step takes less time than saving,
/// only the newest state is saved.
package final class CheckpointWriter: Sendable {
    /// Path of the job's folder.
    package let path: String
    private let core: Core
    private let thread: Mutex<NamedThread?>

    /// - Parameters:
    ///   - path: path of the job's folder, which is created after the first step
    ///   - folder: the job's folder, if it exists already
    ///   - record: the render's command
    ///   - every: number of steps between saves
    ///   - warn: called once when a state cannot be saved
    /// - Throws: `SocketError` if the limit of open files is reached
    package init(
        path: String,
        folder: JobFolder? = nil,
        record: JobFolder.Record,
        every: Int,
        warn: @escaping @Sendable (String) -> Void
    ) throws {
        precondition(every >= 1, "\(every)")
        let core = try Core(path: path, folder: folder, record: record, every: every, warn: warn)
        (self.path, self.core) = (path, core)
        thread = Mutex(NamedThread("checkpoint") { core.run() })
    }

    deinit { end() }

    /// Accepts the state after a step.
    package func reached(_ checkpoint: Checkpoint) { core.reached(checkpoint) }

    /// The render continues from an earlier state: states that were saved later must not be resumed.
    ///
    /// - Parameter checkpoint: the earlier state; nil if the render starts over
    package func goBack(to checkpoint: Checkpoint?) { core.goBack(to: checkpoint) }

    /// Saves the newest state if it has not been saved yet, and stops.
    ///
    /// - Returns: the job's folder, if there is a state in it
    package func finish() -> String? {
        core.makeDue()
        end()
        return core.release()
    }

    /// The picture has been written: removes the job.
    package func discard() {
        end()
        core.remove()
    }

    /// The picture has been written, and another one of its series follows.
    ///
    /// - Returns: the job, which represents the rest of the series until the next picture has its own; nil if nothing
    ///   could be saved
    func leaveToSeries() -> JobFolder? {
        end()
        return core.leaveToSeries()
    }

    private func end() {
        core.end()
        let thread = thread.withLock { thread in
            defer { thread = nil }
            return thread
        }
        thread?.join()
    }
}

/// State shared between the writer and its thread.
private final class Core: Sendable {
    private struct Shared {
        /// The latest state that has not been saved.
        var newest: Checkpoint?
        /// Whether `newest` should be saved.
        var isDue = false
        var isEnding = false
        var folder: JobFolder?
        var hasSaved = false
        var hasWarned = false
        /// Whether the saved state must be removed.
        var mustForget = false
        /// How many times the render went back.
        var returns = 0
        /// Value of `returns` when the saved state was reached: while it is smaller, that state depends on wrong
        /// answers.
        var savedReturns = 0
        var steps = 0
    }

    private let path: String
    private let record: JobFolder.Record
    private let every: Int
    private let warn: @Sendable (String) -> Void
    private let shared: Mutex<Shared>
    private let wakeup: Wakeup

    init(
        path: String,
        folder: JobFolder?,
        record: JobFolder.Record,
        every: Int,
        warn: @escaping @Sendable (String) -> Void
    ) throws {
        (self.path, self.record, self.every, self.warn) = (path, record, every, warn)
        shared = Mutex(Shared(folder: folder, hasSaved: folder != nil))
        wakeup = try Wakeup()
    }

    /// Releases the lock on the folder.
    ///
    /// - Returns: the folder's path, if there is a state in it
    func release() -> String? {
        shared.withLock { shared in
            shared.folder = nil
            return shared.hasSaved ? path : nil
        }
    }

    func reached(_ checkpoint: Checkpoint) {
        let isDue = shared.withLock { shared in
            shared.newest = checkpoint
            shared.steps += 1
            shared.isDue = shared.isDue || shared.steps % every == 0
            return shared.isDue
        }
        if isDue { wakeup.signal() }
    }

    func goBack(to checkpoint: Checkpoint?) {
        shared.withLock { shared in
            shared.returns += 1
            shared.newest = checkpoint
            shared.isDue = checkpoint != nil
            shared.mustForget = checkpoint == nil
        }
        wakeup.signal()
    }

    func makeDue() { shared.withLock { $0.isDue = $0.newest != nil } }

    func end() {
        shared.withLock { $0.isEnding = true }
        wakeup.signal()
    }

    func remove() { shared.withLock { $0.folder?.remove() } }

    func leaveToSeries() -> JobFolder? {
        let folder = shared.withLock { shared in
            defer { shared.folder = nil }
            return shared.folder
        }
        // If the disk is full, whoever resumes the series renders this picture again.
        try? folder?.finishPicture()
        return folder
    }

    func run() {
        while true {
            wakeup.clear()
            forgetIfAsked()
            let (checkpoint, returns, isEnding) = shared.withLock { shared in
                guard shared.isDue else { return (Checkpoint?.none, 0, shared.isEnding) }
                defer { (shared.newest, shared.isDue) = (nil, false) }
                return (shared.newest, shared.returns, shared.isEnding)
            }
            if let checkpoint {
                save(checkpoint, after: returns)
            } else if isEnding {
                return
            } else {
                wakeup.wait(for: .seconds(60))
            }
        }
    }

    private func forgetIfAsked() {
        shared.withLock { shared in
            guard shared.mustForget else { return }
            shared.mustForget = false
            // The job remains, but without a saved step.
            if let folder = shared.folder { unlink(folder.statePath) }
        }
    }

    /// Saves a state that the render reached after going back `returns` times.
    private func save(_ checkpoint: Checkpoint, after returns: Int) {
        do {
            let folder =
                try shared.withLock { $0.folder } ?? JobFolder(new: path, record)
            shared.withLock { $0.folder = folder }
            try checkpoint.write(to: folder.statePath, job: record.identity)
            folder.sync()
            shared.withLock { ($0.hasSaved, $0.savedReturns) = (true, returns) }
        } catch {
            shared.withLock { shared in
                guard shared.savedReturns < returns, let folder = shared.folder else { return }
                // No state is better than a wrong one.
                unlink(folder.statePath)
                shared.savedReturns = returns
            }
            let isFirst = shared.withLock { shared in
                defer { shared.hasWarned = true }
                return !shared.hasWarned
            }
            if isFirst { warn("\(error); the render continues, but cannot be resumed from here") }
        }
    }
}
