import Coordinator
import Engine
import Foundation
import GRDB
import Sampling
import Synchronization

/// What all APIs share: it checks submissions, stores them and notifies the runner.
package final class FrontDesk: Sendable {
    let store: JobStore
    let folder: ServiceFolder
    let resources: JobResources
    let runner: JobRunner
    let hub: EventHub
    let limits: ServiceLimits
    let exposure: Exposure
    /// Readers for request bodies without pictures, and with pictures.
    let bodies: RequestBody
    let uploads: RequestBody
    let pyramids: Pyramids
    /// Serialises plans, each of which reads a model's configuration and its tokenizer.
    private let planning = DispatchQueue(label: "service.planning")
    private let planned = Mutex(0)

    /// Maximum number of plans that wait at a time.
    private static let maxPlans = 256

    package init(
        store: JobStore,
        folder: ServiceFolder,
        resources: JobResources,
        runner: JobRunner,
        hub: EventHub,
        limits: ServiceLimits,
        exposure: Exposure
    ) {
        (self.store, self.folder, self.resources) = (store, folder, resources)
        (self.runner, self.hub, self.limits) = (runner, hub, limits)
        self.exposure = exposure
        pyramids = Pyramids(folder: folder, logger: runner.parts.logger)
        bodies = RequestBody(limitName: "body", limit: limits.body)
        uploads = RequestBody(
            limitName: "upload",
            limit: limits.upload,
            turns: Turns("uploads", limits.uploads)
        )
    }

    /// A submission that was checked against the model and the limits.
    struct Checked: Sendable {
        let draft: JobDraft
        let report: PlanReport
    }

    /// Plans a picture without rendering it.
    ///
    /// - Parameters:
    ///   - request: the client's request; a missing seed is chosen here, so that it is stored with the job
    ///   - caller: who made the request
    /// - Returns: the draft of the job, without a user yet, and its cost
    /// - Throws: `InputError` naming the setting, `LimitExceeded`
    func check(_ request: JobRequest, for caller: Caller) async throws -> Checked {
        let waiting = planned.withLock { count in
            count += 1
            return count
        }
        defer { planned.withLock { $0 -= 1 } }
        guard waiting <= Self.maxPlans else {
            throw LimitExceeded("plans", limit: Self.maxPlans, found: waiting, .later)
        }
        let limits = limits.limits(for: caller.quota)
        return try await Blocking.run(on: planning) { [resources] in
            try Self.check(request, resources, limits)
        }
    }

    private static func check(
        _ request: JobRequest,
        _ resources: JobResources,
        _ limits: ServiceLimits
    ) throws -> Checked {
        var request = request
        let model = try resources.models.find(request.model)
        request.model = model.name
        if request.settings["seed"] == nil {
            // 53 bits, which a JSON number represents exactly.
            request.settings["seed"] = .string("\(UInt64.random(in: 0..<1 << 53))")
        }
        // Reject sizes beyond the limit before planning anything.
        if let size = request.settings["size"].flatMap(Extent.init(json:)) {
            guard size.height <= Settings.maxSide, size.width <= Settings.maxSide else {
                throw LimitExceeded(
                    "side",
                    limit: Settings.maxSide,
                    found: size.longSide,
                    .request
                )
            }
            try limits.check(width: size.width, height: size.height)
        }
        let session = try RenderSession(try request.options(resources))
        // The file name is chosen by the service, only the format by the client.
        try RenderSession.Outputs(
            picture: "picture.\(request.format.rawValue)",
            isNumbered: true,
            depth: request.depth,
            quality: request.quality
        ).validate(for: session)
        let settings = session.plan.settings
        try limits.check(width: settings.size.width, height: settings.size.height)
        let evaluations = session.plan.evaluations
        try limits.check(steps: settings.steps, evaluations: evaluations)
        let draft = JobDraft(
            user: "",
            model: model.name,
            weights: try request.weights(model: model.name),
            request: request,
            width: settings.size.width,
            height: settings.size.height,
            steps: settings.steps,
            evaluations: evaluations
        )
        let report = PlanReport(session.plan, weights: try session.weightBytes(), speeds: nil)
        return Checked(draft: draft, report: report)
    }

    /// Stores a job.
    ///
    /// - Parameters:
    ///   - request: the client's request
    ///   - caller: who made the request
    ///   - priority: priority of the job
    ///   - key: the client's idempotency key; submitting again with the same key returns the same job
    /// - Returns: the job, and whether it is new
    /// - Throws: `InputError`, `LimitExceeded`, `KeyReused`, `APIError` for a priority that the caller may not set
    func submit(
        _ request: JobRequest,
        for caller: Caller,
        priority: Int,
        key: String? = nil
    ) async throws -> (job: Job, isNew: Bool) {
        try Self.check(priority, of: caller)
        let user = caller.user
        let digest = Self.digest(request, priority: priority)
        if let key {
            // A repeated submission is not planned again.
            let known = try await Blocking.run { [store] in
                try store.known(user: user, key: key, digest: digest)
            }
            if let known { return (known, false) }
        }
        var draft = try await check(request, for: caller).draft
        (draft.user, draft.priority, draft.key, draft.digest) = (user, priority, key, digest)
        let limits = limits.limits(for: caller.quota)
        let result = try await Blocking.run { [store, draft] in
            try store.submit(draft, limits: limits, now: Date().timeIntervalSince1970)
        }
        if result.isNew {
            publish(result.job)
            runner.wake()
        }
        return result
    }

    /// Digest that identifies a submission as it was sent, before a seed is chosen.
    private static func digest(_ request: JobRequest, priority: Int) -> String {
        let hash = FileHash()
        hash.add(text: request.json.text)
        hash.add(text: "\(priority)")
        return hash.finish()
    }

    /// Only administrators may put jobs ahead of those of other users.
    private static func check(_ priority: Int, of caller: Caller) throws {
        guard priority <= 0 || caller.has(.admin) else {
            throw APIError(
                .forbidden,
                .forbidden,
                "a priority above 0 needs a token with the scope 'admin'",
                field: "priority"
            )
        }
    }

    /// A job that the caller may access.
    ///
    /// - Throws: `APIError` for an unknown job; another user's job gives the same error
    func job(_ id: String, for caller: Caller) async throws -> Job {
        let job = try await stored(id)
        guard caller.owns(jobsOf: job.user) else { throw Self.unknown(id) }
        return job
    }

    /// - Throws: `APIError` for an unknown job
    func stored(_ id: String) async throws -> Job {
        guard let job = try await Blocking.run({ [store] in try store.job(id) }) else {
            throw Self.unknown(id)
        }
        return job
    }

    static func unknown(_ id: String) -> APIError {
        APIError(.notFound, .notFound, "there is no job '\(id.prefix(40))'")
    }

    func view(_ job: Job) -> JobView {
        JobView(job, progress: job.state == .running ? runner.progress(of: job.id) : nil)
    }

    /// Cancels, pauses or resumes a job.
    ///
    /// - Throws: `APIError` for an unknown job, or a state that does not allow it
    func change(
        _ id: String,
        _ change: JobRequestedChange,
        for caller: Caller
    ) async throws -> Job {
        _ = try await job(id, for: caller)
        let result = try await Blocking.run { [store] in
            try store.change(id, change, now: Date().timeIntervalSince1970)
        }
        guard let (job, effect) = result else { throw Self.unknown(id) }
        switch effect {
        case .stopsRender: runner.stopRender(of: id)
        case .becomes(let state):
            if state.isFinished {
                try await Blocking.run { [folder] in folder.removeState(of: job) }
            }
            publish(job)
            runner.wake()
        case .none: break
        case .refused(let reason):
            throw APIError(
                .conflict,
                .conflict,
                "job \(id) cannot be changed (\(change.rawValue)): \(reason)"
            )
        }
        return job
    }

    /// - Throws: `APIError` for an unknown job, or a priority that the caller may not set
    func setPriority(_ id: String, _ priority: Int, for caller: Caller) async throws -> Job {
        try Self.check(priority, of: caller)
        _ = try await job(id, for: caller)
        let job = try await Blocking.run { [store] in try store.setPriority(id, priority) }
        guard let job else { throw Self.unknown(id) }
        runner.setPriority(priority, of: id)
        hub.publish(.queue, job: id, .object([:]))
        runner.wake()
        return job
    }

    /// Deletes a finished job and its picture.
    ///
    /// - Throws: `APIError` for an unknown or unfinished job
    func delete(_ id: String, for caller: Caller) async throws {
        let job = try await job(id, for: caller)
        let isDeleted = try await Blocking.run { [store, folder] in
            do {
                guard try store.delete(id) else { return false }
            } catch let error as DatabaseError where error.isOfDisk && job.state.isFinished {
                // On a full disk, the deletion cannot be recorded until the job's files have made room.
                folder.remove(job)
                guard try store.delete(id) else { return false }
            }
            folder.remove(job)
            return true
        }
        guard isDeleted else {
            throw APIError(.conflict, .conflict, "job \(id) is not finished. Cancel it first")
        }
        hub.publish(.deleted, job: id, owner: job.user, .object([:]))
    }

    private func publish(_ job: Job) {
        hub.publish(.state, job: job.id, .object(["state": .string(job.state.rawValue)]))
    }
}
