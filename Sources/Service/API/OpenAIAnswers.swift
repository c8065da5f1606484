import Engine
import Foundation
import Hummingbird

/// Pictures in the form of OpenAI's images API.
struct OpenAIAnswers: Sendable {
    let desk: FrontDesk
    let wanted: OpenAIRequest
    /// What links begin with.
    let base: String

    /// All pictures of a request, when the last one is finished.
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

    /// Each picture as soon as it is finished.
    ///
    /// - Parameters:
    ///   - jobs: of one request
    ///   - name: of the events, before `.completed`
    /// - Returns: server-sent events
    func stream(_ jobs: [Job], named name: String) -> Response {
        Response(
            status: .ok,
            headers: [.contentType: "text/event-stream", .cacheControl: "no-store"],
            body: ResponseBody { writer in
                for job in jobs {
                    let (name, event) = await event(job, named: name)
                    try await writer.write(.event(name, event))
                }
                try await writer.finish(nil)
            }
        )
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
            return ["url": .string("\(base)\(OpenAIImages.linkPath)/\(job.id)")]
        }
        return ["b64_json": .string(try await desk.base64(of: job))]
    }

    /// Tokens are not how Tessera counts; clients expect the fields.
    private static var usage: JSON {
        .object([
            "input_tokens": .number(0), "output_tokens": .number(0), "total_tokens": .number(0),
            "input_tokens_details": .object([
                "image_tokens": .number(0), "text_tokens": .number(0),
            ]),
        ])
    }
}
