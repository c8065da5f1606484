import Engine
import Foundation
import HTTPTypes
import Hummingbird
import Sampling

/// OpenAI's images API, for clients that speak it: `/v1/images/generations` and `/v1/models`.
struct OpenAIImages: Sendable {
    let desk: FrontDesk
    let native: NativeAPI

    /// Bytes of a picture that is answered as base64.
    private static let maxInline = 64 << 20

    func addRoutes(to router: Router<BasicRequestContext>) {
        router.get("/v1/models") { _, _ in
            let entries = try await Blocking.run { [models = desk.models] in models.entries }
            return Response(
                json: .object([
                    "object": .string("list"), "data": .array(entries.map { Self.model($0.name) }),
                ])
            )
        }
        router.get("/v1/models/:id") { _, context in
            let name = try context.parameters.require("id")
            let entries = try await Blocking.run { [models = desk.models] in models.entries }
            guard entries.contains(where: { $0.name == name }) else {
                throw APIError(
                    .notFound,
                    .notFound,
                    "there is no model '\(name.prefix(100))'",
                    field: "model"
                )
            }
            return Response(json: Self.model(name))
        }
        router.post("/v1/images/generations") { request, _ in try await generate(request) }
        // One client probes with it.
        router.on("/v1/**", method: .options) { _, _ in
            Response(status: .noContent, headers: [.allow: "GET, POST, OPTIONS"])
        }
    }

    private static func model(_ name: String) -> JSON {
        .object([
            "id": .string(name), "object": .string("model"), "created": .number(0),
            "owned_by": .string("tessera"),
        ])
    }

    private func generate(_ request: Request) async throws -> Response {
        let wanted = try OpenAIRequest(json: try await native.body(request))
        let user = try native.user(request)
        let jobs = try await submit(wanted, user: user)
        let host = request.head.authority ?? "localhost"
        guard !wanted.streams else { return stream(jobs, wanted, host: host) }
        var pictures: [JSON] = []
        for job in jobs {
            let done = try await finished(job)
            pictures.append(.object(try await picture(done, wanted, host: host)))
        }
        let created = Date().timeIntervalSince1970.rounded(.down)
        return Response(
            json: .object([
                "created": .number(created), "data": .array(pictures),
                "output_format": .string("png"),
                "size": .string("\(jobs[0].width)x\(jobs[0].height)"),
                "usage": Self.usage(jobs),
            ])
        )
    }

    /// Stores the jobs; all of one request or none.
    private func submit(_ wanted: OpenAIRequest, user: String) async throws -> [Job] {
        var request = wanted.request
        let plan = try await desk.check(request, user: user).draft
        if !wanted.wantsLinks, plan.width * plan.height * 3 > Self.maxInline {
            throw LimitExceeded(
                "inline-bytes",
                limit: Self.maxInline,
                found: plan.width * plan.height * 3,
                .request
            )
        }
        switch wanted.quality {
        case .own: break
        case .half: request.settings["steps"] = .count(max(1, plan.steps / 2))
        case .double: request.settings["steps"] = .count(min(1000, plan.steps * 2))
        }
        var jobs: [Job] = []
        do {
            for _ in 0..<wanted.count {
                jobs.append(try await desk.submit(request, user: user, priority: 0).job)
            }
        } catch {
            for job in jobs { _ = try? await desk.change(job.id, .cancel) }
            throw error
        }
        return jobs
    }

    /// Waits for a job.
    ///
    /// - Throws: `APIError` when there is no picture
    private func finished(_ job: Job) async throws -> Job {
        // Before the job is read: no change is missed in between.
        let events = try desk.hub.events(of: job.id)
        var present = try await desk.job(job.id)
        if !present.state.isFinished {
            for await event in events where event.kind != .progress {
                present = try await desk.job(job.id)
                if present.state.isFinished { break }
            }
        }
        switch present.state {
        case .done: return present
        case .failed:
            throw APIError(
                .unprocessableContent,
                .invalid,
                "job \(job.id) failed: \(present.error ?? "")"
            )
        case .cancelled: throw APIError(.conflict, .conflict, "job \(job.id) was cancelled")
        case .queued, .running, .paused:
            throw APIError(
                .serviceUnavailable,
                .unavailable,
                "the service is stopping; job \(job.id) goes on after its next start"
            )
        }
    }

    private func picture(
        _ job: Job,
        _ wanted: OpenAIRequest,
        host: String
    ) async throws -> [String: JSON] {
        if wanted.wantsLinks {
            return ["url": .string("http://\(host)/api/v1/jobs/\(job.id)/picture")]
        }
        let path = desk.folder.picture(of: job)
        let text = try await Blocking.run {
            try Data(contentsOf: URL(fileURLWithPath: path)).base64EncodedString()
        }
        return ["b64_json": .string(text)]
    }

    /// Tokens are not how Tessera counts; clients expect the fields.
    private static func usage(_ jobs: [Job]) -> JSON {
        .object([
            "input_tokens": .number(0), "output_tokens": .number(0), "total_tokens": .number(0),
            "input_tokens_details": .object([
                "image_tokens": .number(0), "text_tokens": .number(0),
            ]),
        ])
    }

    private func stream(_ jobs: [Job], _ wanted: OpenAIRequest, host: String) -> Response {
        Response(
            status: .ok,
            headers: [.contentType: "text/event-stream", .cacheControl: "no-store"],
            body: ResponseBody { writer in
                for job in jobs {
                    var event: [String: JSON]
                    var name = "image_generation.completed"
                    do {
                        let done = try await finished(job)
                        event = try await picture(done, wanted, host: host)
                        event["created_at"] = .number((done.finished ?? 0).rounded(.down))
                        event["size"] = .string("\(done.width)x\(done.height)")
                        event["quality"] = .string("auto")
                        event["background"] = .string("opaque")
                        event["output_format"] = .string("png")
                        event["usage"] = Self.usage([done])
                    } catch {
                        name = "error"
                        event = ["error": Self.error(APIError(error))]
                    }
                    event["type"] = .string(name)
                    try await writer.write(.event(name, .object(event)))
                }
                try await writer.finish(nil)
            }
        )
    }

    /// An error in the form of this API.
    static func error(_ error: APIError) -> JSON {
        .object([
            "message": .string(error.message),
            "type": .string(
                error.status.code >= 500 ? "server_error" : "invalid_request_error"
            ),
            "param": .optional(error.field), "code": .string(error.code.rawValue),
        ])
    }
}
