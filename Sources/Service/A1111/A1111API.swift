import Coordinator
import Engine
import Foundation
import HTTPTypes
import Hummingbird
import Sampling

/// A1111's API, `/sdapi/v1`, for tools that use it.
struct A1111API: Sendable {
    let desk: FrontDesk
    let sessions = A1111Sessions()

    static let path = "/sdapi/v1"

    func addRoutes(to router: Router<ServiceContext>) {
        let group = router.group(RouterPath(Self.path))
        group.post("txt2img") { request, context in
            try await render(request, context, isFromPicture: false)
        }
        group.post("img2img") { request, context in
            try await render(request, context, isFromPicture: true)
        }
        group.post("extra-single-image") { request, context in
            try await enlarge(request, context)
        }
        group.post("png-info") { request, context in try await info(request, context) }
        group.get("progress") { request, context in
            try context.require(.read)
            let skips = request.uri.queryParameters["skip_current_image"]
            let hasImage = !(skips.map { Self.isTrue(String($0)) } ?? false)
            return Response(json: try await progress(of: context.caller.user, hasImage: hasImage))
        }
        group.post("interrupt") { _, context in try await interrupt(context, all: true) }
        group.post("skip") { _, context in try await interrupt(context, all: false) }
        group.get("options") { _, context in
            try context.require(.read)
            let standard = desk.resources.models.standardName
            let options = sessions.options(of: context.caller.user)
            return Response(json: options.json(standard: standard))
        }
        group.post("options") { request, context in try await setOptions(request, context) }
        addLists(to: group)
    }

    private func setOptions(
        _ request: Request,
        _ context: ServiceContext
    ) async throws -> Response {
        try context.require(.submit)
        let json = try await desk.bodies.json(request)
        var options = sessions.options(of: context.caller.user)
        try options.merge(json)
        let model = options.model
        _ = try await Blocking.run { [models = desk.resources.models] in try models.find(model) }
        sessions.set(options, of: context.caller.user)
        return Response(json: .null)
    }

    private func render(
        _ request: Request,
        _ context: ServiceContext,
        isFromPicture: Bool
    ) async throws -> Response {
        try context.require(.submit)
        let json = try await desk.uploads.json(request)
        var wanted = try A1111Request(
            json: json,
            options: sessions.options(of: context.caller.user),
            isFromPicture: isFromPicture
        )
        wanted = try await stored(wanted)
        let plan = try await desk.check(wanted.job, for: context.caller).draft
        try FrontDesk.checkInline(width: plan.width, height: plan.height)
        let jobs = wanted.jobs(seed: UInt64(UInt32.random(in: 0...UInt32.max)))
        let ended = try await run(jobs, isFromPicture ? "img2img" : "txt2img", for: context.caller)
        let answer = A1111Answer(wanted: wanted, plan: plan)
        return Response(json: try await answer.json(ended, echo: json, desk: desk))
    }

    /// Stores the request's pictures and refers to them by id.
    private func stored(_ wanted: A1111Request) async throws -> A1111Request {
        guard let image = wanted.initImage else { return wanted }
        var wanted = wanted
        let (image64, mask64, isInverted) = (image, wanted.mask, wanted.isMaskInverted)
        (wanted.job.initImage, wanted.job.mask) = try await Blocking.run {
            [inputs = desk.resources.inputs] in
            let image = try inputs.add(Self.bytes(image64, "init_images"), field: "init_images")
            let mask = try mask64.map {
                try inputs.addMask(Self.bytes($0, "mask"), field: "mask", isInverted: isInverted)
            }
            return (image.id, mask?.id)
        }
        return wanted
    }

    /// Decodes base64, with or without a `data:` URL prefix.
    static func bytes(_ text: String, _ field: String) throws(InputError) -> Data {
        let start = text.hasPrefix("data:") ? text.firstIndex(of: ",").map(text.index(after:)) : nil
        let code = String(text[(start ?? text.startIndex)...])
        guard let data = Data(base64Encoded: code, options: .ignoreUnknownCharacters),
            !data.isEmpty
        else { throw JobRequest.wrongType(field, "a picture's file as base64") }
        return data
    }

    /// Submits jobs and waits until all of them have ended.
    private func run(
        _ requests: [JobRequest],
        _ kind: String,
        for caller: Caller
    ) async throws -> [Job] {
        let jobs = try await desk.submit(requests, for: caller)
        let batch = A1111Sessions.Batch(
            kind: kind,
            jobs: jobs.map(\.id),
            start: Date().timeIntervalSince1970
        )
        let number = sessions.begin(batch, of: caller.user)
        defer { sessions.end(number, of: caller.user) }
        var ended: [Job] = []
        for job in jobs {
            let job = try await desk.ended(job)
            // A job that was interrupted has no picture, which is not an error.
            ended.append(job.state == .cancelled ? job : try await desk.finished(job))
            sessions.advance(number, of: caller.user)
        }
        return ended
    }

    private func enlarge(_ request: Request, _ context: ServiceContext) async throws -> Response {
        try context.require(.submit)
        let fields = try A1111Fields(try await desk.uploads.json(request))
        guard let image = try fields.text("image") else {
            throw InputError("image", "it is missing", fix: "Send a picture as base64")
        }
        let scale = try fields.number("upscaling_resize") ?? 2
        guard (1...16).contains(scale) else {
            throw JobRequest.wrongType("upscaling_resize", "a number from 1 to 16")
        }
        let isSized = try fields.integer("resize_mode", 0...1, 0) == 1
        let width = isSized ? try fields.integer("upscaling_resize_w", 0...65_536, 0) : 0
        let height = isSized ? try fields.integer("upscaling_resize_h", 0...65_536, 0) : 0
        let stored = try await Blocking.run { [inputs = desk.resources.inputs] in
            try inputs.add(Self.bytes(image, "image"), field: "image")
        }
        var job = JobRequest(prompt: " ")
        job.initImage = stored.id
        job.model = sessions.options(of: context.caller.user).model
        let size = A1111Request.enlarged(stored.width, stored.height, scale, width, height)
        job.settings[Settings.size.name] =
            Extent(height: max(8, size.height / 8 * 8), width: max(8, size.width / 8 * 8)).json
        job.settings[Settings.method.name] = Method.refine.json
        let plan = try await desk.check(job, for: context.caller).draft
        try FrontDesk.checkInline(width: plan.width, height: plan.height)
        let ended = try await run([job], "extras", for: context.caller)
        let picture = try await desk.base64(of: try await desk.finished(ended[0]))
        return Response(json: .object(["html_info": .string(""), "image": .string(picture)]))
    }

    private func info(_ request: Request, _ context: ServiceContext) async throws -> Response {
        try context.require(.read)
        let fields = try A1111Fields(try await desk.uploads.json(request))
        guard let image = try fields.text("image") else {
            throw InputError("image", "it is missing", fix: "Send a picture as base64")
        }
        let texts = try await Blocking.run { [inputs = desk.resources.inputs] in
            let stored = try inputs.add(Self.bytes(image, "image"), field: "image")
            return try PictureMetadata(file: try inputs.file(of: stored.id, field: "image")).text
        }
        let parameters = texts["parameters"] ?? ""
        return Response(
            json: .object([
                "info": .string(parameters),
                "items": .object(texts.mapValues(JSON.string)),
                "parameters": .object(A1111Answer.parameters(parameters)),
            ])
        )
    }

    /// Progress of the user's requests; all zero if nothing is being rendered.
    private func progress(of user: String, hasImage: Bool) async throws -> JSON {
        let batches = sessions.batches(of: user)
        let running = batches.flatMap(\.jobs).lazy
            .compactMap { [desk] id in desk.runner.progress(of: id).map { (id, $0) } }.first
        var image: String?
        if hasImage, let id = running?.0 { image = try await desk.estimate(of: id) }
        return A1111Progress(
            batches: batches,
            running: running?.1,
            image: image,
            now: Date().timeIntervalSince1970
        ).json
    }

    /// Parses a Boolean query parameter as A1111 does.
    private static func isTrue(_ text: String) -> Bool {
        ["1", "true", "t", "yes", "y", "on"].contains(text.lowercased())
    }

    private func interrupt(_ context: ServiceContext, all: Bool) async throws -> Response {
        try context.require(.submit)
        for batch in sessions.batches(of: context.caller.user) {
            let jobs = batch.jobs.dropFirst(batch.ended)
            for id in all ? jobs : jobs.prefix(1) {
                // Ignore errors: the job may have ended by now.
                _ = try? await desk.change(id, .cancel, for: context.caller)
            }
        }
        return Response(json: .object([:]))
    }

    /// An error in the format of this API.
    static func error(_ error: APIError) -> JSON {
        .object([
            "error": .string(error.code.rawValue), "detail": .string(error.message),
            "body": .string(""), "errors": .string(error.message),
        ])
    }
}
