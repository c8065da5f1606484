import Coordinator
import Engine
import Foundation
import Hummingbird

/// Writes events for one client: those of a job until it has finished, or all that the client may see.
struct EventWriter: Sendable {
    let desk: FrontDesk
    let caller: Caller
    let hasViews: Bool
    /// The job to follow; nil for all of the client's jobs.
    var job: Job?
    /// Selects the events that the client may see; nil for all events.
    var sieve: OwnEvents?
    /// The views that were last sent for each running job.
    private var told: [String: PlacedViews] = [:]
    /// When the caller's access was last confirmed.
    private var admitted = ContinuousClock.now

    init(
        desk: FrontDesk,
        caller: Caller,
        hasViews: Bool,
        job: Job? = nil,
        sieve: OwnEvents? = nil
    ) {
        (self.desk, self.caller, self.hasViews) = (desk, caller, hasViews)
        (self.job, self.sieve) = (job, sieve)
    }

    func answer(_ events: AsyncStream<EventHub.Event>) -> Response {
        Response(
            status: .ok,
            headers: [.contentType: "text/event-stream", .cacheControl: "no-store"],
            body: ResponseBody { [self] body in
                var writer = self
                if try await writer.begin(&body) {
                    for await event in events {
                        guard try await writer.isAdmitted() else { break }
                        try await writer.write(event, to: &body)
                        if writer.isLast(event) { break }
                    }
                }
                try await body.finish(nil)
            }
        )
    }

    /// Whether the caller still has access; checked once a second, because a token may be revoked or expire while the
    /// stream is open.
    private mutating func isAdmitted() async throws -> Bool {
        let now = ContinuousClock.now
        guard now - admitted >= .seconds(1) else { return true }
        admitted = now
        return try await Blocking.run { [desk, caller] in
            try desk.store.admits(caller, now: Date().timeIntervalSince1970)
        }
    }

    /// Writes the current state.
    ///
    /// - Returns: whether more events may follow
    private mutating func begin(_ body: inout any ResponseBodyWriter) async throws -> Bool {
        if let job {
            let state = JSON.object(["state": .string(job.state.rawValue)])
            try await body.write(Self.line("state", job.id, 0, state))
            if job.state.isFinished { return false }
        }
        guard hasViews else { return true }
        let nothing = JSON.object([:])
        try await write(.init(number: 0, job: nil, kind: .workers, data: nothing), to: &body)
        for id in desk.runner.runningJobs where job == nil || job?.id == id {
            try await write(.init(number: 0, job: id, kind: .views, data: nothing), to: &body)
        }
        return true
    }

    private mutating func write(
        _ event: EventHub.Event,
        to body: inout any ResponseBodyWriter
    ) async throws {
        guard try await sieve?.passes(event) ?? true, let data = data(of: event) else { return }
        try await body.write(Self.line(event.kind.rawValue, event.job, event.number, data))
    }

    /// The current data of an event; nil if the client already has it.
    private mutating func data(of event: EventHub.Event) -> JSON? {
        switch (event.kind, event.job) {
        case (.workers, _): return desk.workers
        case (.views, let id?):
            let views = desk.views(of: id)
            guard told.updateValue(views, forKey: id) != views else { return nil }
            return views.json
        case (.state, let id?):
            // When a job restarts, its views are sent again.
            told[id] = nil
            return event.data
        default: return event.data
        }
    }

    private func isLast(_ event: EventHub.Event) -> Bool {
        guard job != nil, event.kind == .state else { return false }
        let state = event.data.object?["state"]?.string
        return state.flatMap(JobState.init(rawValue:))?.isFinished == true
    }

    /// An event in the format for clients.
    static func line(_ kind: String, _ job: String?, _ number: Int, _ data: JSON) -> ByteBuffer {
        var object = data.object ?? [:]
        if let job { object["job"] = .string(job) }
        return .event(kind, id: number, .object(object))
    }
}
