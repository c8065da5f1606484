import Coordinator
import Engine
import Sampling

/// A request for pictures to A1111's API. Fields that Tessera does not know are ignored. Pure.
package struct A1111Request: Equatable, Sendable {
    /// Number of pictures; their seeds are consecutive.
    package var count: Int
    /// Batch size as requested.
    package var batchSize: Int
    /// Seed of the first picture; nil for a random one.
    package var seed: UInt64?
    /// The job, without its seed and stored pictures.
    package var job: JobRequest
    /// The init image as base64; nil if there is none.
    package var initImage: String?
    package var mask: String?
    /// Whether the black parts of the mask change instead of the white ones.
    package var isMaskInverted = false
    /// Requested features that are not supported, one line each.
    package var notes: [String] = []
    /// Whether the response includes the pictures.
    package var sendsImages = true
    /// The sampler's name as requested.
    package var sampler: String?
    /// Denoising strength as a fraction of the steps, if there is an init image.
    package var strength: Double?

    /// Maximum number of pictures per request.
    static let maxCount = 64
    /// The upscaler name that selects refinement instead of DemoFusion.
    package static let refiner = "Tessera refine"

    /// - Parameters:
    ///   - json: the request body
    ///   - options: the user's options, which `override_settings` overrides
    ///   - isFromPicture: whether this is an img2img request
    /// - Throws: `InputError` naming the field
    package init(
        json: JSON,
        options: A1111Options,
        isFromPicture: Bool
    ) throws(InputError) {
        let fields = try A1111Fields(json)
        var options = options
        try options.merge(json.object?["override_settings"] ?? .null)
        job = JobRequest(prompt: try fields.text("prompt") ?? "")
        // Clients may send an empty prompt, which Tessera would treat as missing.
        if job.prompt.isEmpty { job.prompt = " " }
        job.negativePrompt = try fields.text("negative_prompt")
        job.model = options.model
        job.format = options.format
        batchSize = try fields.integer("batch_size", 1...64, 1)
        count = try batchSize * fields.integer("n_iter", 1...64, 1)
        guard count <= Self.maxCount else {
            throw InputError(
                "batch_size and n_iter",
                "they make \(count) pictures",
                fix: "Ask for at most \(Self.maxCount) at once"
            )
        }
        if fields.object["send_images"] != nil { sendsImages = try fields.flag("send_images") }
        let seed = try fields.integer("seed", -1...(1 << 53) - 1, -1)
        self.seed = seed < 0 ? nil : UInt64(seed)
        var settings: [String: JSON] = [Settings.promptSyntax.name: PromptSyntax.a1111.json]
        // A1111 samples noise on the GPU by default.
        settings[Settings.random.name] = options.random.json
        settings[Settings.steps.name] = try fields.optionalInteger("steps", 1...1000)
            .map(JSON.count)
        settings[Settings.guidance.name] = try fields.number("cfg_scale").map(JSON.number)
        settings[Settings.clipSkip.name] = options.clipSkip.map(JSON.count)
        job.settings = settings
        try readSampler(fields)
        try readSize(fields, isFromPicture: isFromPicture)
        if isFromPicture { try readPicture(fields) }
        note(fields)
    }

    private mutating func readSampler(_ fields: A1111Fields) throws(InputError) {
        var name = try fields.text("sampler_name")
        if name?.isEmpty != false { name = try fields.text("sampler_index") }
        guard let name, !name.isEmpty else { return }
        var type = try fields.text("scheduler")
        if type?.isEmpty == true { type = nil }
        // The API accepts the names of scheduler types or their labels.
        let label = type.map { type in
            A1111Names.schedulers.first { $0.name == type }?.label ?? type
        }
        guard let choice = WebSampler(name, type: label) else {
            throw InputError(
                "sampler_name",
                "there is no sampler '\(name.prefix(60))'",
                fix: "Choose from those of /sdapi/v1/samplers"
            )
        }
        if let label, let note = choice.note(onType: label) {
            notes.append("the scheduler '\(label.prefix(60))' \(note)")
        }
        sampler = name
        job.settings.merge(choice.settings) { $1 }
    }

    /// The size or, with `enable_hr`, the upscaled size, which Tessera's ladder reaches.
    private mutating func readSize(
        _ fields: A1111Fields,
        isFromPicture: Bool
    ) throws(InputError) {
        let side = 1...Settings.maxSide
        var width = try fields.optionalInteger("width", side) ?? (isFromPicture ? nil : 512)
        var height = try fields.optionalInteger("height", side) ?? (isFromPicture ? nil : 512)
        if !isFromPicture, try fields.flag("enable_hr") {
            let scale = try fields.number("hr_scale") ?? 2
            guard (1...64).contains(scale) else {
                throw JobRequest.wrongType("hr_scale", "a number from 1 to 64")
            }
            let toWidth = try fields.integer("hr_resize_x", 0...Settings.maxSide, 0)
            let toHeight = try fields.integer("hr_resize_y", 0...Settings.maxSide, 0)
            (width, height) = Self.enlarged(width ?? 512, height ?? 512, scale, toWidth, toHeight)
            try readEnlargement(fields)
        }
        guard let width, let height else { return }
        // A1111 rounds down, too.
        let size = Extent(height: max(8, height / 8 * 8), width: max(8, width / 8 * 8))
        job.settings[Settings.size.name] = size.json
    }

    /// The size after upscaling: an explicit size takes precedence; if only one side is given, the other is scaled with
    /// it.
    static func enlarged(
        _ width: Int,
        _ height: Int,
        _ scale: Double,
        _ toWidth: Int,
        _ toHeight: Int
    ) -> (width: Int, height: Int) {
        switch (toWidth, toHeight) {
        case (0, 0): (Int(Double(width) * scale), Int(Double(height) * scale))
        case (_, 0): (toWidth, height * toWidth / width)
        case (0, _): (width * toHeight / height, toHeight)
        default: (toWidth, toHeight)
        }
    }

    private mutating func readEnlargement(_ fields: A1111Fields) throws(InputError) {
        let steps = try fields.integer("hr_second_pass_steps", 0...1000, 0)
        let share = try fields.number("denoising_strength")
        guard try fields.text("hr_upscaler") == Self.refiner else {
            if steps > 0 || share != nil {
                notes.append(
                    "hr_second_pass_steps and denoising_strength have no effect: DemoFusion enlarges; "
                        + "choose hr_upscaler '\(Self.refiner)' to refine instead"
                )
            }
            return
        }
        job.settings[Settings.method.name] = Method.refine.json
        if steps > 0 { job.settings[Settings.refineSteps.name] = .count(steps) }
        if let share {
            job.settings[Settings.refineFrom.name] = .number(min(max(share, 0.001), 0.999))
        }
    }

    private mutating func readPicture(_ fields: A1111Fields) throws(InputError) {
        let images = try fields.texts("init_images")
        guard let image = images.first, images.count == 1 else {
            throw InputError(
                "init_images",
                images.isEmpty ? "it is missing" : "there are \(images.count)",
                fix: "Send one picture"
            )
        }
        initImage = image
        mask = try fields.text("mask")
        if mask?.isEmpty == true { mask = nil }
        isMaskInverted = try fields.integer("inpainting_mask_invert", 0...1, 0) == 1
        strength = try fields.number("denoising_strength") ?? 0.75
        job.settings[Settings.strength.name] = strength.map(JSON.number)
        job.settings[Settings.fidelity.name] = .number(0)
    }

    private mutating func note(_ fields: A1111Fields) {
        let scripts = fields.object["alwayson_scripts"]?.object ?? [:]
        if !scripts.isEmpty {
            notes.append(
                "scripts are not run: " + scripts.keys.sorted().prefix(20).joined(separator: ", ")
            )
        }
        if let script = fields.object["script_name"]?.string, !script.isEmpty {
            notes.append("the script '\(script.prefix(60))' is not run")
        }
        for name in ["restore_faces", "tiling"] where fields.object[name] == .bool(true) {
            notes.append("\(name) has no effect")
        }
        if fields.object["styles"]?.array?.isEmpty == false { notes.append("there are no styles") }
    }

    /// The jobs, each with its seed.
    ///
    /// - Parameter first: seed of the first picture if the request has none
    /// - Returns: one job for each picture
    package func jobs(seed first: UInt64) -> [JobRequest] {
        (0..<count).map { index in
            var job = job
            let seed = (seed ?? first) &+ UInt64(index)
            job.settings[Settings.seed.name] = .string("\(seed)")
            return job
        }
    }
}
