import Engine
import Foundation
import Hummingbird

/// Responses in the format of OpenAI's images API.
struct OpenAIAnswers: Sendable {
    let desk: FrontDesk
    let wanted: OpenAIRequest
    /// Base URL of links.
    let base: String

    /// A single response with all pictures, once the last one is finished.
    func whole(_ jobs: [Job]) async throws -> Response {
        var pictures: [JSON] = []
        for job in jobs {
            pictures.append(.object(try await picture(try await desk.finished(job))))
        }
        var answer: [String: JSON] = [
            "created": .number(Date().timeIntervalSince1970.rounded(.down)),
            "data": .array(pictures), "usage": Self.usage,
            "output_format": .string(wanted.format.rawValue),
        ]
        if let job = jobs.first { answer["size"] = .string("\(job.width)x\(job.height)") }
        return Response(json: .object(answer))
    }

    /// Streams each picture as soon as it is finished, preceded by those of its first phases if requested.
    ///
    /// - Parameters:
    ///   - jobs: the jobs of one request
    ///   - name: prefix of the event names, before `.completed`
    /// - Returns: server-sent events
    func stream(_ jobs: [Job], named name: String) -> Response {
        Response(
            status: .ok,
            headers: [.contentType: "text/event-stream", .cacheControl: "no-store"],
            body: ResponseBody { writer in
                for job in jobs {
                    try await sendPhases(of: job, named: name) { try await writer.write($0) }
                    let (name, event) = await event(job, named: name)
                    try await writer.write(.event(name, event))
                }
                try await writer.finish(nil)
            }
        )
    }

    /// Sends pictures of phases until enough have been sent or the job has ended.
    private func sendPhases(
        of job: Job,
        named name: String,
        _ send: (ByteBuffer) async throws -> Void
    ) async throws {
        guard wanted.partialImages > 0, let events = try? desk.hub.events(of: job.id) else {
            return
        }
        var sent = 0
        func sendNew() async throws {
            while sent < wanted.partialImages, let path = desk.folder.phase(sent + 1, of: job) {
                let event = try await phaseEvent(path, sent, named: name)
                try await send(.event("\(name).partial_image", event))
                sent += 1
            }
        }
        // Already subscribed, so nothing is missed.
        try await sendNew()
        guard try await !desk.stored(job.id).state.isFinished else { return try await sendNew() }
        for await event in events where event.kind == .phase || event.kind == .state {
            try await sendNew()
            let state = event.data.object?["state"]?.string.flatMap(JobState.init(rawValue:))
            if sent == wanted.partialImages || state?.isFinished == true { break }
        }
    }

    private func phaseEvent(_ path: String, _ index: Int, named name: String) async throws -> JSON {
        let (bytes, width, height) = try await Blocking.run {
            let picture = try PictureFile(path)
            return (
                try Data(contentsOf: URL(fileURLWithPath: path)), picture.width, picture.height
            )
        }
        return .object([
            "type": .string("\(name).partial_image"),
            "partial_image_index": .number(Double(index)),
            "b64_json": .string(bytes.base64EncodedString()),
            "created_at": .number(Date().timeIntervalSince1970.rounded(.down)),
            "size": .string("\(width)x\(height)"), "quality": .string("auto"),
            "background": .string("opaque"), "output_format": .string("png"),
        ])
    }

    private func event(_ job: Job, named name: String) async -> (String, JSON) {
        do {
            let done = try await desk.finished(job)
            var event = try await picture(done)
            event["type"] = .string("\(name).completed")
            event["created_at"] = .number((done.finished ?? 0).rounded(.down))
            event["size"] = .string("\(done.width)x\(done.height)")
            event["quality"] = .string("auto")
            event["background"] = .string("opaque")
            event["output_format"] = .string(wanted.format.rawValue)
            event["usage"] = Self.usage
            return ("\(name).completed", .object(event))
        } catch {
            let error = OpenAIImages.error(APIError(error))
            return ("error", .object(["type": .string("error"), "error": error]))
        }
    }

    private func picture(_ job: Job) async throws -> [String: JSON] {
        if wanted.wantsLinks {
            return [
                "url": .string(
                    "\(base)\(OpenAIImages.linkPath)/\(desk.folder.links.name(of: job.id))"
                )
            ]
        }
        return ["b64_json": .string(try await desk.base64(of: job))]
    }

    /// Tessera does not count tokens, but clients expect these fields.
    private static var usage: JSON {
        .object([
            "input_tokens": .number(0), "output_tokens": .number(0), "total_tokens": .number(0),
            "input_tokens_details": .object([
                "image_tokens": .number(0), "text_tokens": .number(0),
            ]),
        ])
    }
}
