import Coordinator
import Engine
import Foundation
import Logging
import Protocol
import Synchronization

/// Renders the jobs of the queue, one after the other, on a thread of its own.
package final class JobRunner: Sendable {
    /// What it works with.
    package struct Parts: Sendable {
        package var store: JobStore
        package var folder: ServiceFolder
        package var resources: JobResources
        package var hub: EventHub
        /// Provides workers.
        package var open:
            @Sendable (RenderSession, ModelIdentity, Logger, Cancellation) throws ->
                Rendering.Workers
        package var computation: Rendering.Computation
        package var retention: Retention
        package var logger: Logger

        package init(
            store: JobStore,
            folder: ServiceFolder,
            resources: JobResources,
            hub: EventHub,
            open:
                @escaping @Sendable (RenderSession, ModelIdentity, Logger, Cancellation) throws ->
                Rendering.Workers,
            computation: Rendering.Computation,
            retention: Retention,
            logger: Logger
        ) {
            (self.store, self.folder, self.resources, self.hub) = (store, folder, resources, hub)
            (self.open, self.computation) = (open, computation)
            (self.retention, self.logger) = (retention, logger)
        }
    }

    /// The job that is being rendered.
    private struct Running {
        let id: String
        let control: RenderControl
        var progress = JobProgress()
        /// When its progress was last published.
        var told = 0.0
    }

    private struct State {
        var running: Running?
        var isStopping = false
        /// Whether a wake-up is on its way: thousands of submissions make one.
        var isAwake = false
        /// Why nothing is rendered although jobs wait.
        var hold: String?
        var cluster: Cluster?
        /// When unused pictures were last deleted; seconds since 1970.
        var swept = 0.0
    }

    let parts: Parts
    private let state = Mutex(State())
    private let wakes = BlockingQueue<Void>()
    private let thread = Mutex<NamedThread?>(nil)
    package let counters = RenderCounters()
    package let previews = Previews()

    /// Seconds between looks at the queue where nobody reports a change.
    private static let interval = 10.0
    /// Seconds between reports of a job's progress.
    private static let reportInterval = 0.2

    package init(_ parts: Parts) { self.parts = parts }

    /// Brings the jobs of an earlier process into order, and starts. Call once.
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

    /// Stops the render, whose job goes on after the next start, and the workers. Returns when they have ended.
    package func stop() {
        state.withLock {
            $0.isStopping = true
            $0.running?.control.cancel()
        }
        wake()
        thread.withLock {
            $0?.join()
            $0 = nil
        }
    }

    /// The queue has changed.
    package func wake() {
        let isFirst = state.withLock { state in
            defer { state.isAwake = true }
            return !state.isAwake
        }
        if isFirst { wakes.put(()) }
    }

    /// Stops the render of a job whose intent is stored, if it is running.
    package func stopRender(of id: String) {
        state.withLock { if $0.running?.id == id { $0.running?.control.cancel() } }
    }

    /// The progress of a job; nil unless it is being rendered.
    package func progress(of id: String) -> JobProgress? {
        state.withLock { $0.running?.id == id ? $0.running?.progress : nil }
    }

    /// Why nothing is rendered although jobs may wait; nil if nothing holds them up.
    package var hold: String? { state.withLock { $0.hold } }

    /// What each worker of the present cluster has done.
    package var workers: [WorkerStatistics] {
        state.withLock { $0.cluster }?.statistics ?? []
    }

    /// Who has the views of the present step.
    package var assignments: [Int: ViewAssignment] {
        state.withLock { $0.cluster }?.assignments ?? [:]
    }

    private var isStopping: Bool { state.withLock { $0.isStopping } }
    private var now: Double { Date().timeIntervalSince1970 }

    private func loop() {
        let workers = SharedWorkers()
        defer { workers.stop() }
        var loaded: String?
        var delay = RetryDelay()
        while !isStopping {
            do {
                expire()
                let next = try parts.store.takeNext(loaded: loaded, now: now)
                guard let job = next else {
                    pause(Self.interval)
                    continue
                }
                publish(job)
                guard try render(job, on: workers) else { throw Held(reason: "") }
                loaded = job.model
                delay.reset()
                hold(nil)
            } catch {
                // Workers that failed are started again.
                workers.stop()
                loaded = nil
                let seconds = delay.next()
                if !(error is Held) { hold("\(error)") }
                parts.logger.error("rendering is held up: \(hold ?? "\(error)")")
                pause(seconds)
            }
        }
    }

    /// A job went back into the queue because of a failure that is not its own.
    private struct Held: Error {
        let reason: String
    }

    private func hold(_ reason: String?) { state.withLock { $0.hold = reason } }

    /// Waits until the queue changes.
    private func pause(_ seconds: Double) {
        guard !isStopping else { return }
        _ = wakes.take(before: Date(timeIntervalSinceNow: seconds))
        state.withLock { $0.isAwake = false }
    }

    /// Renders a job and stores how that ended.
    ///
    /// - Returns: whether the next job may follow at once
    private func render(_ job: Job, on workers: SharedWorkers) throws -> Bool {
        let control = RenderControl()
        state.withLock {
            $0.running = Running(id: job.id, control: control)
            if $0.isStopping { control.cancel() }
        }
        // Asked before the render could be stopped.
        if try parts.store.job(job.id)?.intent != nil { control.cancel() }
        defer { state.withLock { $0.running = nil } }
        let start = ContinuousClock.now
        let ending: JobStore.Ending
        var goesOn = true
        do {
            let outcome = try rendering(job).run(on: opening(workers), control: control) {
                [self] report in
                if case .progress(let event) = report {
                    previews.take(event, of: job.id, model: job.model)
                }
                observe(report, of: job.id)
            }
            ending = .done(bytes: parts.folder.pictureBytes(of: job) ?? 0)
            counters.add(outcome, seconds: (ContinuousClock.now - start) / .seconds(1))
        } catch is RenderCancelled {
            ending = .stopped
        } catch let error where JobFailure.isOfService(error) {
            hold("\(error)")
            (ending, goesOn) = (.stopped, false)
        } catch {
            ending = .failed(oneLine("\(error)", limit: 2000))
            counters.addFailure()
        }
        let settled = settle(job, ending)
        previews.end(job.id, isDone: settled?.state == .done)
        if let settled {
            if settled.state.isFinished { parts.folder.removeState(of: settled) }
            publish(settled)
            parts.logger.info(
                "job ended",
                metadata: ["job": "\(job.id)", "state": "\(settled.state.rawValue)"]
            )
        }
        return goesOn
    }

    /// Stores how a job ended, however long the disk is full. When the service stops first, the next start finds the
    /// picture, or goes on with the job.
    private func settle(_ job: Job, _ ending: JobStore.Ending) -> Job? {
        var delay = RetryDelay()
        while true {
            do {
                return try parts.store.ended(job.id, ending, now: now)
            } catch {
                parts.logger.error("the end of job \(job.id) cannot be stored: \(error)")
                guard !isStopping else { return nil }
                pause(delay.next())
            }
        }
    }

    /// The render of a job, resumed if a step of it was saved.
    private func rendering(_ job: Job) throws -> Rendering {
        let (folder, id) = (parts.folder, job.id)
        try folder.create(for: job)
        let request = try JobRequest(json: JSON(job.request.utf8, place: "job \(id)"))
        let state = folder.state(of: job)
        var resumed: Rendering.Resumed?
        var suggestions = SuggestionMemory()
        if FileManager.default.fileExists(atPath: "\(state)/state.safetensors") {
            let held = try JobFolder(taking: state)
            let record = try held.record()
            resumed = (held, record)
            suggestions = SuggestionMemory(record.suggestions ?? [:])
        } else {
            // No step was saved.
            folder.removeState(of: job)
        }
        return Rendering(
            options: try request.options(parts.resources, suggestions: suggestions),
            outputs: RenderSession.Outputs(
                picture: folder.picture(of: job),
                depth: request.depth,
                quality: request.quality
            ),
            computation: parts.computation,
            saving: Saving(
                every: 1,
                folder: state,
                command: "serve",
                arguments: [],
                directory: folder.folder(of: job)
            ),
            resumed: resumed,
            logger: parts.logger
        )
    }

    /// An opening that keeps workers for the next job, and remembers their cluster.
    private func opening(_ workers: SharedWorkers) -> Rendering.Opening {
        let open = workers.opening(parts.open)
        return { [self] session, identity, logger, cancellation in
            let opened = try open(session, identity, logger, cancellation)
            state.withLock { $0.cluster = opened.cluster }
            return opened
        }
    }

    private func observe(_ report: RenderReport, of id: String) {
        let time = now
        let told: JobProgress? = state.withLock { state in
            guard state.running != nil else { return nil }
            switch report {
            case .begun(let plan, _): state.running?.progress.plan(plan)
            case .progress(let event): state.running?.progress.take(event, at: time)
            case .notice, .reading, .ready, .suggestion, .saves, .canBeResumed: return nil
            }
            guard time - (state.running?.told ?? 0) >= Self.reportInterval else { return nil }
            state.running?.told = time
            return state.running?.progress
        }
        if let told { parts.hub.publish(.progress, job: id, told.json) }
    }

    private func publish(_ job: Job) {
        parts.hub.publish(.state, job: job.id, .object(["state": .string(job.state.rawValue)]))
    }

    /// Deletes finished jobs that are too old, or take too much space, and pictures that no job uses.
    private func expire() {
        sweep()
        guard parts.retention != Retention() else { return }
        do {
            for id in parts.retention.expired(try parts.store.finished(), now: now)
            where try parts.store.delete(id) {
                parts.folder.remove(id: id)
            }
        } catch {
            parts.logger.error("old jobs cannot be deleted: \(error)")
        }
    }
}

extension JobRunner {
    /// Seconds between looks for pictures that no job uses.
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
