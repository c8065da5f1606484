import Coordinator
import Engine
import Foundation
import HTTPTypes
import Hummingbird
import Sampling

extension NativeAPI {
    var workOperations: [Operation] { [plan, upload, picture, phase] + eventOperations }

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
                    help: "From 1; the last phase has none of its own: its picture is the job's."
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
                    "job \(job.id) has no picture of phase '\(text.prefix(20))'; that of the last phase is the job's picture"
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
            // Forms on any web page could send other content types.
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
}
