import Coordinator
import Engine
import Foundation
import Logging
import Protocol
import Synchronization

/// Renders the jobs of the queue. One thread chooses them, and each job has its own thread while it is rendered.
package final class JobRunner: Sendable {
    /// Dependencies and settings.
    package struct Parts: Sendable {
        package var store: JobStore
        package var folder: ServiceFolder
        package var resources: JobResources
        package var hub: EventHub
        /// Starts workers, or waits for them.
        package var open:
            @Sendable (RenderSession, ModelIdentity, Logger, Cancellation) throws ->
                Rendering.Workers
        /// Whether to open workers before the first job, so that other machines can connect and new ones can join.
        package var opensAtOnce: Bool
        package var computation: Rendering.Computation
        /// The share of workers' answers that are computed a second time as a check.
        package var verify: VerifyShare
        /// What is known about the workers' hosts.
        package var siteBook: SiteBook?
        package var retention: Retention
        /// Maximum number of jobs that are rendered at the same time.
        package var concurrent: Int
        package var logger: Logger

        package init(
            store: JobStore,
            folder: ServiceFolder,
            resources: JobResources,
            hub: EventHub,
            open:
                @escaping @Sendable (RenderSession, ModelIdentity, Logger, Cancellation) throws ->
                Rendering.Workers,
            opensAtOnce: Bool = false,
            computation: Rendering.Computation,
            verify: VerifyShare = .byDefault,
            siteBook: SiteBook? = nil,
            retention: Retention,
            concurrent: Int = 1,
            logger: Logger
        ) {
            (self.store, self.folder, self.resources, self.hub) = (store, folder, resources, hub)
            (self.open, self.opensAtOnce, self.computation) = (open, opensAtOnce, computation)
            (self.verify, self.siteBook) = (verify, siteBook)
            (self.retention, self.concurrent, self.logger) = (retention, concurrent, logger)
        }
    }

    /// A job that is being rendered.
    struct Running {
        let place: RenderSlots.Taken
        let control = RenderControl()
        var progress = JobProgress()
        /// When its progress was last published, in seconds since 1970.
        var told = 0.0
    }

    struct State {
        /// Running jobs by id.
        var running: [String: Running] = [:]
        /// Cancels the opening of workers without a job, while that is in progress.
        var opening: RenderControl?
        /// Jobs whose threads are about to end.
        var ended: [String] = []
        /// Whether any render was held up, or succeeded, since the last check.
        var hasFailed = false
        var hasSucceeded = false
        var isStopping = false
        /// Whether a wake-up is already pending: thousands of submissions cause only one.
        var isAwake = false
        /// Why nothing is rendered although jobs are waiting.
        var hold: String?
        var cluster: Cluster?
        /// When unused pictures were last deleted, in seconds since 1970.
        var swept = 0.0
    }

    let parts: Parts
    let state = Mutex(State())
    private let wakes = BlockingQueue<Void>()
    private let thread = Mutex<NamedThread?>(nil)
    package let counters = RenderCounters()
    package let previews = Previews()

    /// Seconds between checks of the queue if no change is reported.
    private static let interval = 10.0
    /// Minimum seconds between two progress reports of a job.
    static let reportInterval = 0.2

    package init(_ parts: Parts) { self.parts = parts }

    /// Recovers the jobs of an earlier process, and starts. Call once.
    ///
    /// - Throws: `DatabaseError`
    package func start() throws {
        let (store, folder) = (parts.store, parts.folder)
        for job in try store.recover(now: now, hasPicture: folder.pictureBytes) {
            parts.logger.notice(
                "job recovered",
                metadata: ["job": "\(job.id)", "state": "\(job.state.rawValue)"]
            )
            if job.state.isFinished { folder.removeState(of: job) }
        }
        folder.removeStrays(known: try store.ids())
        thread.withLock {
            $0 = NamedThread("renders", stack: 64 << 20) { [self] in loop() }
        }
    }

    /// Stops the renders, which continue after the next start, and the workers. Returns when they have ended.
    package func stop() {
        state.withLock {
            $0.isStopping = true
            $0.opening?.cancel()
            for running in $0.running.values { running.control.cancel() }
        }
        wake()
        thread.withLock {
            $0?.join()
            $0 = nil
        }
    }

    /// Signals that the queue has changed.
    package func wake() {
        let isFirst = state.withLock { state in
            defer { state.isAwake = true }
            return !state.isAwake
        }
        if isFirst { wakes.put(()) }
    }

    /// Stops the render of a job whose intent has been stored, if it is running.
    package func stopRender(of id: String) {
        state.withLock { $0.running[id]?.control.cancel() }
    }

    /// The progress of a job; nil if it is not being rendered.
    package func progress(of id: String) -> JobProgress? {
        state.withLock { $0.running[id]?.progress }
    }

    /// Ids of the jobs that are being rendered, sorted.
    package var runningJobs: [String] { state.withLock { $0.running.keys.sorted() } }

    /// Changes the priority of a running job, and so its share of the workers.
    package func setPriority(_ priority: Int, of id: String) {
        state.withLock { $0.running[id]?.control }?
            .setWeight(BatchTurns.weight(priority: priority))
    }

    /// Why nothing is rendered although jobs may be waiting; nil if nothing holds them up.
    package var hold: String? { state.withLock { $0.hold }.map(told) }

    /// Statistics of each worker of the current cluster.
    package var workers: [WorkerStatistics] {
        state.withLock { $0.cluster }?.statistics ?? []
    }

    /// The workers assigned to the current step's views; empty if several jobs are running, because their view numbers
    /// overlap.
    package var assignments: [Int: ViewAssignment] {
        state.withLock { $0.running.count == 1 ? $0.cluster : nil }?.assignments ?? [:]
    }

    var isStopping: Bool { state.withLock { $0.isStopping } }
    var now: Double { Date().timeIntervalSince1970 }

    private func loop() {
        let pool = WorkerPool()
        var threads: [String: NamedThread] = [:]
        var loaded: String?
        var delay = RetryDelay()
        while !isStopping {
            for id in takeEnded() { threads.removeValue(forKey: id)?.join() }
            do {
                expire()
                try checkRenders(&delay)
                let running = state.withLock { $0.running.values.map(\.place) }
                guard let slot = RenderSlots.free(beside: running, count: parts.concurrent),
                    let job = try parts.store.takeNext(loaded: loaded, slot: slot, now: now)
                else {
                    if running.isEmpty { try openIfIdle(on: pool) }
                    pause(Self.interval)
                    continue
                }
                loaded = job.weights
                publish(job)
                threads[job.id] = begin(job, in: slot, on: pool)
            } catch {
                // Failed workers are replaced.
                pool.abandon()
                let seconds = delay.next()
                if !(error is Held) { hold("\(error)") }
                parts.logger.error("rendering is held up: \(hold ?? "\(error)")")
                pause(seconds)
            }
        }
        for thread in threads.values { thread.join() }
        pool.stop()
    }

    /// Starts a job's thread.
    private func begin(_ job: Job, in slot: RenderSlots.Slot, on pool: WorkerPool) -> NamedThread {
        let running = Running(place: slot.taken(by: job))
        state.withLock {
            $0.running[job.id] = running
            if $0.isStopping { running.control.cancel() }
        }
        return NamedThread("render", stack: 64 << 20) { [self] in
            let goesOn = render(job, running.control, on: pool)
            state.withLock {
                $0.running[job.id] = nil
                $0.ended.append(job.id)
                if goesOn { $0.hasSucceeded = true } else { $0.hasFailed = true }
            }
            wake()
        }
    }

    private func takeEnded() -> [String] {
        state.withLock { state in
            defer { state.ended = [] }
            return state.ended
        }
    }

    /// Handles the outcomes of renders.
    ///
    /// - Throws: `Held` if one failed for a reason that is not its own fault
    private func checkRenders(_ delay: inout RetryDelay) throws {
        let (hasFailed, hasSucceeded) = state.withLock { state in
            defer { (state.hasFailed, state.hasSucceeded) = (false, false) }
            return (state.hasFailed, state.hasSucceeded)
        }
        if hasFailed { throw Held() }
        guard hasSucceeded else { return }
        delay.reset()
        hold(nil)
    }

    /// A job was put back into the queue after a failure that is not its own fault.
    private struct Held: Error {}

    func hold(_ reason: String?) { state.withLock { $0.hold = reason } }

    /// Waits until the queue changes or the time is over.
    private func pause(_ seconds: Double) {
        guard !isStopping else { return }
        _ = wakes.take(before: .now + .seconds(seconds))
        state.withLock { $0.isAwake = false }
    }

    func publish(_ job: Job) {
        parts.hub.publish(.state, job: job.id, .object(["state": .string(job.state.rawValue)]))
    }

    /// Deletes finished jobs that are too old or take up too much space, and pictures that no job uses.
    private func expire() {
        sweep()
        guard parts.retention != Retention() else { return }
        do {
            for id in parts.retention.expired(try parts.store.finished(), now: now) {
                let user = try parts.store.job(id)?.user
                guard try parts.store.delete(id) else { continue }
                parts.folder.remove(id: id)
                parts.hub.publish(.deleted, job: id, owner: user, .object([:]))
            }
        } catch {
            parts.logger.error("old jobs cannot be deleted: \(error)")
        }
    }
}

extension JobRunner {
    /// Seconds between deletions of pictures that no job uses.
    private static let sweepInterval = 3600.0

    private func sweep() {
        let time = now
        let isDue = state.withLock { state in
            guard time - state.swept >= Self.sweepInterval else { return false }
            state.swept = time
            return true
        }
        guard isDue else { return }
        do {
            parts.resources.inputs.sweep(keeping: try parts.store.usedInputs(), now: time)
        } catch {
            parts.logger.error("unused pictures cannot be deleted: \(error)")
        }
    }
}
