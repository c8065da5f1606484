import Coordinator
import Engine
import Foundation
import Protocol

/// Rendering of one job, on its own thread.
extension JobRunner {
    /// Renders a job and stores the outcome.
    ///
    /// - Returns: whether the next job may follow immediately
    func render(_ job: Job, _ control: RenderControl, on pool: WorkerPool) -> Bool {
        let start = ContinuousClock.now
        parts.logger.notice(
            "job started",
            metadata: ["job": "\(job.id)", "user": "\(job.user)", "model": "\(job.model)"]
        )
        let ending: JobStore.Ending
        var goesOn = true
        do {
            // The user may have requested a change before the render could be stopped.
            if let stored = try? parts.store.job(job.id), stored.intent != nil { control.cancel() }
            let outcome = try rendering(job).run(on: opening(pool), control: control) {
                [self] report in
                switch report {
                case .begun(let plan, _):
                    previews.begin(model: job.model, scale: plan.model.latentScale)
                case .progress(let event): previews.take(event, of: job.id, model: job.model)
                default: break
                }
                observe(report, of: job.id)
            }
            ending = .done(bytes: parts.folder.pictureBytes(of: job) ?? 0)
            counters.add(outcome, seconds: (ContinuousClock.now - start) / .seconds(1))
        } catch is RenderCancelled {
            ending = .stopped
        } catch let error as ResourceMissing {
            parts.logger.warning(
                "job paused: \(error.cause)",
                metadata: ["job": "\(job.id)"]
            )
            ending = .held("\(told(error.cause)). Then resume the job")
        } catch let error where JobFailure.isOfService(error) {
            hold("\(error)")
            (ending, goesOn) = (.stopped, false)
        } catch {
            ending = .failed(told(error))
            counters.addFailure()
        }
        let settled = settle(job, ending)
        previews.end(job.id, isDone: settled?.state == .done)
        if let settled {
            if settled.state.isFinished { parts.folder.removeState(of: settled) }
            publish(settled)
            let seconds = (ContinuousClock.now - start) / .seconds(1)
            parts.logger.notice(
                settled.state.isFinished ? "job ended" : "job stopped",
                metadata: [
                    "job": "\(job.id)", "state": "\(settled.state.rawValue)",
                    "seconds": "\(String(format: "%.1f", seconds))",
                ]
            )
        }
        return goesOn
    }

    /// A model, LoRA or picture that existed when the job was submitted is missing, but may come back.
    private struct ResourceMissing: Error {
        let cause: InputError
    }

    /// The reason for a failure in terms for clients, without paths on this machine.
    func told(_ error: any Error) -> String { told("\(error)") }

    func told(_ text: String) -> String {
        var text = text.replacing(/ipc:\/\/[^\s:]+/, with: "this machine's coordinator")
        for path in [parts.folder.inputs, parts.folder.path] {
            text = text.replacing("\(path)/", with: "")
        }
        for model in parts.resources.models.entries {
            text = text.replacing(model.path, with: model.name)
        }
        return oneLine(APIWords.withoutFlags(text), limit: 2000)
    }

    /// Stores the outcome of a job, retrying while the disk is full. If the service stops first, the next start finds
    /// the picture or continues the job.
    private func settle(_ job: Job, _ ending: JobStore.Ending) -> Job? {
        var delay = RetryDelay()
        while true {
            do {
                return try parts.store.ended(job.id, ending, now: now)
            } catch {
                parts.logger.error("the end of job \(job.id) cannot be stored: \(error)")
                let end = ContinuousClock.now + .seconds(delay.next())
                while .now < end {
                    guard !isStopping else { return nil }
                    Thread.sleep(forTimeInterval: 0.1)
                }
            }
        }
    }

    /// The render of a job, resumed if a step was saved.
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
        var outputs = RenderSession.Outputs(
            picture: folder.picture(of: job),
            depth: request.depth,
            quality: request.quality
        )
        if request.storesPhases {
            (outputs.phases, outputs.savesLastPhase) = (folder.phases(of: job), false)
        }
        var logger = parts.logger
        logger[metadataKey: "job"] = "\(id)"
        let options: PictureOptions
        do {
            options = try request.options(parts.resources, suggestions: suggestions)
        } catch {
            throw ResourceMissing(cause: error)
        }
        var rendering = Rendering(
            options: options,
            outputs: outputs,
            computation: parts.computation,
            saving: Saving(
                every: 1,
                folder: state,
                command: "serve",
                arguments: [],
                directory: folder.folder(of: job)
            ),
            resumed: resumed,
            logger: logger
        )
        (rendering.verify, rendering.siteBook) = (parts.verify, parts.siteBook)
        rendering.weight = BatchTurns.weight(priority: job.priority)
        return rendering
    }

    /// Opens workers for the default model if they should be kept while nothing is rendered and there are none.
    ///
    /// - Throws: any error that prevents opening them
    func openIfIdle(on pool: WorkerPool) throws {
        guard parts.opensAtOnce, !pool.isHolding else { return }
        let request = try JobRequest(json: .object(["prompt": .string("nothing")]))
        let session = try RenderSession(try request.options(parts.resources))
        let control = RenderControl()
        state.withLock {
            $0.opening = control
            if $0.isStopping { control.cancel() }
        }
        defer { state.withLock { $0.opening = nil } }
        let identity = try ModelIdentity(of: session.model)
        do {
            try opening(pool)(session, identity, parts.logger, control.cancellation).stop()
            hold(nil)
        } catch is RenderCancelled {
            // The service is stopping.
        }
    }

    /// An opening that keeps workers for the next job, and records their cluster.
    private func opening(_ pool: WorkerPool) -> Rendering.Opening {
        // Workers outlive the job, so their log lines must not contain its id.
        let open = pool.opening { [parts] session, identity, _, cancellation in
            try parts.open(session, identity, parts.logger, cancellation)
        }
        return { [self] session, identity, logger, cancellation in
            let opened = try open(session, identity, logger, cancellation)
            state.withLock { $0.cluster = opened.cluster }
            return opened
        }
    }

    /// Publishes that a phase's picture is stored, which is the case once the next phase begins.
    private func tellPhase(_ report: RenderReport, of id: String) {
        guard case .progress(.phase(let index, _)) = report, index > 0 else { return }
        parts.hub.publish(.phase, job: id, .object(["phase": .number(Double(index))]))
    }

    private func observe(_ report: RenderReport, of id: String) {
        let time = now
        tellPhase(report, of: id)
        let told: JobProgress? = state.withLock { state in
            guard state.running[id] != nil else { return nil }
            switch report {
            case .begun(let plan, _): state.running[id]?.progress.plan(plan)
            case .progress(let event): state.running[id]?.progress.take(event, at: time)
            case .notice, .reading, .ready, .suggestion, .saves, .canBeResumed, .nothingSaved:
                return nil
            }
            // Always report a resumption: there may be no other event for a whole step.
            let isDue = time - (state.running[id]?.told ?? 0) >= Self.reportInterval
            guard isDue || report.isOfResumption else { return nil }
            state.running[id]?.told = time
            return state.running[id]?.progress
        }
        if let told { parts.hub.publish(.progress, job: id, told.json) }
    }
}

extension RenderReport {
    /// Whether it reports how much an earlier process had done.
    fileprivate var isOfResumption: Bool {
        if case .progress(.resumed) = self { true } else { false }
    }
}
