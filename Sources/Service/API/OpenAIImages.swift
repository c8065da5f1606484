import Engine
import Foundation
import HTTPTypes
import Hummingbird
import Sampling

/// OpenAI's images API, `/v1/images` and `/v1/models`, for clients that use it.
struct OpenAIImages: Sendable {
    let desk: FrontDesk

    func addRoutes(to router: Router<ServiceContext>) {
        router.get("/v1/models") { _, context in
            try context.require(.read)
            let entries = try await Blocking.run { [models = desk.resources.models] in
                models.entries
            }
            return Response(
                json: .object([
                    "object": .string("list"), "data": .array(entries.map(Self.model)),
                ])
            )
        }
        router.get("/v1/models/:id") { _, context in
            try context.require(.read)
            let name = try context.parameters.require("id")
            let entries = try await Blocking.run { [models = desk.resources.models] in
                models.entries
            }
            guard let entry = entries.first(where: { $0.name == name }) else {
                throw APIError(
                    .notFound,
                    .notFound,
                    "there is no model '\(name.prefix(100))'",
                    field: "model"
                )
            }
            return Response(json: Self.model(entry))
        }
        router.post("/v1/images/generations") { request, context in
            try await generate(request, context)
        }
        router.post("/v1/images/edits") { request, context in
            try await edit(request, context, isVariation: false)
        }
        router.post("/v1/images/variations") { request, context in
            try await edit(request, context, isVariation: true)
        }
        // Links need no token: they cannot be guessed, and they expire.
        router.get("\(Self.linkPath)/:id") { _, context in
            let name = try context.parameters.require("id")
            guard let id = desk.folder.links.id(of: name) else { throw FrontDesk.unknown(name) }
            let job = try await desk.stored(id)
            let age = Date().timeIntervalSince1970 - (job.finished ?? 0)
            guard job.state == .done, age < PictureLinks.seconds else {
                throw FrontDesk.unknown(id)
            }
            return try await desk.answer(pictureOf: job)
        }
        // One client probes with OPTIONS.
        router.on("/v1/**", method: .options) { _, _ in
            Response(status: .noContent, headers: [.allow: "GET, POST, OPTIONS"])
        }
    }

    /// Path of links to pictures.
    static let linkPath = "/v1/pictures"

    private static func model(_ entry: ModelCatalogue.Entry) -> JSON {
        .object([
            "id": .string(entry.name), "object": .string("model"),
            "created": .number(entry.changed.rounded(.down)),
            "owned_by": .string("tessera"),
        ])
    }

    private func generate(_ request: Request, _ context: ServiceContext) async throws -> Response {
        try context.require(.submit)
        let wanted = try OpenAIRequest(json: try await desk.bodies.json(request))
        return try await answer(
            wanted,
            wanted.request,
            request,
            context,
            events: "image_generation"
        )
    }

    private func edit(
        _ request: Request,
        _ context: ServiceContext,
        isVariation: Bool
    ) async throws -> Response {
        try context.require(.submit)
        let form = try await desk.uploads.form(request)
        let edit = try OpenAIEdit(form, isVariation: isVariation)
        var job = edit.wanted.request
        let (image, mask) = try await Blocking.run { [inputs = desk.resources.inputs] in
            let image = try inputs.add(edit.image, field: "image")
            // Without a mask, the transparent parts of the picture itself change.
            let mask =
                try edit.mask.map { try inputs.addMask($0, field: "mask") }
                ?? inputs.mask(ofTransparencyIn: image, field: "image")
            return (image, mask)
        }
        (job.initImage, job.mask) = (image.id, isVariation ? nil : mask?.id)
        if job.mask == nil {
            // Refinement would hardly change the picture, so use DemoFusion.
            job.preset = nil
            job.settings[Settings.method.name] = Method.demofusion.json
        }
        return try await answer(edit.wanted, job, request, context, events: "image_edit")
    }

    /// Submits a request's jobs and responds with their pictures.
    private func answer(
        _ wanted: OpenAIRequest,
        _ job: JobRequest,
        _ request: Request,
        _ context: ServiceContext,
        events: String
    ) async throws -> Response {
        let jobs = try await submit(wanted, job, for: context.caller)
        let answers = OpenAIAnswers(
            desk: desk,
            wanted: wanted,
            base: desk.exposure.base(of: request, context)
        )
        guard !wanted.streams else { return answers.stream(jobs, named: events) }
        return try await answers.whole(jobs)
    }

    private func submit(
        _ wanted: OpenAIRequest,
        _ request: JobRequest,
        for caller: Caller
    ) async throws -> [Job] {
        let plan = try await desk.check(request, for: caller).draft
        if !wanted.wantsLinks {
            try FrontDesk.checkInline(width: plan.width, height: plan.height)
        }
        return try await desk.submit(
            Array(repeating: request, count: wanted.count),
            for: caller
        )
    }

    /// An error in the format of this API.
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
