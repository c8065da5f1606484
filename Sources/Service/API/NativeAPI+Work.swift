import Coordinator
import Engine
import Foundation
import HTTPTypes
import Hummingbird
import Sampling

extension NativeAPI {
    var workOperations: [Operation] { [plan, upload, picture, phase, jobEvents, allEvents] }

    private var plan: Operation {
        Operation(
            method: .post,
            path: "/api/v1/plan",
            name: "plan",
            summary:
                "What a picture would take, without rendering it, as tessera plan --json prints it.",
            body: "JobRequest",
            answers: [.json(200, .anyObject, "Phases, UNet calls, bytes.")]
                + Operation.Answer.errors(400, 403, 413, 415, 422, 429)
        ) { request, context in
            let picture = try JobRequest(json: try await desk.bodies.json(request))
            let report = try await desk.check(picture, for: context.caller).report
            return Response(bytes: try JSONEncoder().encode(report), type: "application/json")
        }
    }

    private var picture: Operation {
        Operation(
            method: .get,
            path: "/api/v1/jobs/{id}/picture",
            name: "getPicture",
            summary: "The finished picture, with every setting in its metadata.",
            parameters: [.job],
            answers: [
                .init(
                    status: 200,
                    help: "The file, in the format that the job asked for.",
                    content: ("image/png", .given(.object([:])))
                )
            ] + Operation.Answer.errors(403, 404, 409)
        ) { _, context in
            try await desk.answer(
                pictureOf: try await desk.job(Self.id(context), for: context.caller)
            )
        }
    }

    private var phase: Operation {
        Operation(
            method: .get,
            path: "/api/v1/jobs/{id}/phases/{number}",
            name: "getPhasePicture",
            summary: "The picture of a finished phase, of a job with phasePictures.",
            parameters: [
                .job,
                .init(
                    name: "number",
                    place: .path,
                    schema: .given(
                        .object(["type": .string("integer"), "minimum": .number(1)])
                    ),
                    help: "From 1; the last phase is the picture itself."
                ),
            ],
            answers: [
                .init(
                    status: 200,
                    help: "The file, a PNG.",
                    content: ("image/png", .given(.object([:])))
                )
            ] + Operation.Answer.errors(403, 404)
        ) { _, context in
            let job = try await desk.job(Self.id(context), for: context.caller)
            let text = try context.parameters.require("number")
            guard let number = Int(text), (1...1000).contains(number),
                let path = desk.folder.phase(number, of: job)
            else {
                throw APIError(
                    .notFound,
                    .notFound,
                    "job \(job.id) has no picture of phase '\(text.prefix(20))'"
                )
            }
            return try await Blocking.run { try Response(file: path, type: "image/png") }
        }
    }

    private var upload: Operation {
        Operation(
            method: .post,
            path: "/api/v1/pictures",
            name: "storePicture",
            summary:
                "Stores a picture for jobs to start from, or a mask. It is kept while jobs name it, and for a day.",
            upload: ["image/png", "image/jpeg", "image/webp", "image/tiff"],
            answers: [.json(201, .reference("StoredPicture"), "It is stored, and on disk.")]
                + Operation.Answer.errors(403, 413, 415, 422, 429)
        ) { request, _ in
            // Other types could come from the forms of any web page.
            guard RequestBody.type(request)?.hasPrefix("image/") == true else {
                throw APIError(
                    .unsupportedMediaType,
                    .unsupportedMediaType,
                    "the header Content-Type must be that of a picture, such as image/png"
                )
            }
            let bytes = try await desk.uploads.bytes(request)
            let stored = try await Blocking.run { [inputs = desk.resources.inputs] in
                try inputs.add(bytes, field: "the picture")
            }
            return Response(json: InputFolder.Stored.shape.json(stored), status: .created)
        }
    }

    /// One event, as readers of such streams have it.
    private static var eventSchema: Schema {
        .given(
            .object([
                "type": .string("object"), "required": .array([.string("event"), .string("data")]),
                "properties": .object([
                    "event": Schema.choice(EventHub.Kind.allCases.map(\.rawValue)).json,
                    "data": Schema.string.described("A JSON object."),
                    "id": Schema.string.json,
                ]),
            ])
        )
    }

    private static var streamAnswer: Operation.Answer {
        .init(
            status: 200,
            help:
                "Server-sent events: state {state}, progress {Progress}, phase {phase}, queue, alive. The first state is sent at once.",
            content: ("text/event-stream", eventSchema)
        )
    }

    private var jobEvents: Operation {
        Operation(
            method: .get,
            path: "/api/v1/jobs/{id}/events",
            name: "watchJob",
            summary: "Follows a job until it has finished.",
            parameters: [.job],
            answers: [Self.streamAnswer] + Operation.Answer.errors(403, 404, 429)
        ) { _, context in
            let id = try Self.id(context)
            // Before the job is read: no change is missed in between.
            let events = try desk.hub.events(of: id)
            let job = try await desk.job(id, for: context.caller)
            return stream(events, first: job, untilFinished: true)
        }
    }

    private var allEvents: Operation {
        Operation(
            method: .get,
            path: "/api/v1/events",
            name: "watch",
            summary: "Follows the caller's jobs; with the scope admin, everybody's.",
            answers: [Self.streamAnswer] + Operation.Answer.errors(403, 429)
        ) { _, context in
            let events = try desk.hub.events(of: nil)
            let sieve = OwnEvents(caller: context.caller, store: desk.store)
            return stream(events, first: nil, untilFinished: false, sieve)
        }
    }

    private func stream(
        _ events: AsyncStream<EventHub.Event>,
        first: Job?,
        untilFinished: Bool,
        _ sieve: OwnEvents? = nil
    ) -> Response {
        Response(
            status: .ok,
            headers: [.contentType: "text/event-stream", .cacheControl: "no-store"],
            body: ResponseBody { writer in
                if let first {
                    let state = JSON.object(["state": .string(first.state.rawValue)])
                    try await writer.write(Self.line("state", first.id, 0, state))
                }
                if !(untilFinished && first?.state.isFinished == true) {
                    var sieve = sieve
                    for await event in events {
                        guard try await sieve?.passes(event) ?? true else { continue }
                        try await writer.write(
                            Self.line(event.kind.rawValue, event.job, event.number, event.data)
                        )
                        guard untilFinished, event.kind == .state else { continue }
                        let state = event.data.object?["state"]?.string
                        if state.flatMap(JobState.init(rawValue:))?.isFinished == true { break }
                    }
                }
                try await writer.finish(nil)
            }
        )
    }

    /// One event as the client reads it.
    static func line(_ kind: String, _ job: String?, _ number: Int, _ data: JSON) -> ByteBuffer {
        var object = data.object ?? [:]
        if let job { object["job"] = .string(job) }
        return .event(kind, id: number, .object(object))
    }
}
