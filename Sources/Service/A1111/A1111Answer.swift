import Coordinator
import Engine
import Foundation
import Sampling

/// The response to a request for pictures, in the format that A1111's clients expect.
struct A1111Answer: Sendable {
    let wanted: A1111Request
    let plan: JobDraft

    /// - Parameters:
    ///   - jobs: the request's jobs, all of which have ended; those that were interrupted have no picture
    ///   - echo: the body of the request, which is returned without its pictures
    ///   - desk: gives access to the files
    /// - Returns: the pictures, the request and `info`
    /// - Throws: if a file no longer exists
    func json(_ jobs: [Job], echo: JSON, desk: FrontDesk) async throws -> JSON {
        let done = jobs.filter { $0.state == .done }
        var pictures: [JSON] = []
        var texts: [String] = []
        for job in done {
            if wanted.sendsImages { pictures.append(.string(try await desk.base64(of: job))) }
            let path = desk.folder.picture(of: job)
            texts.append(
                try await Blocking.run {
                    try PictureMetadata(file: path).text["parameters"] ?? ""
                }
            )
        }
        var parameters = echo.object ?? [:]
        if parameters["init_images"] != nil { parameters["init_images"] = .null }
        parameters["mask"] = parameters["mask"].map { _ in .null }
        return .object([
            "images": .array(pictures), "parameters": .object(parameters),
            // JSON as a string, as clients expect.
            "info": .string(info(done, texts: texts).text),
        ])
    }

    private func info(_ jobs: [Job], texts: [String]) -> JSON {
        let seeds = jobs.map { job -> JSON in
            let request = try? JSON(job.request.utf8, place: "job")
            let seed = request?.object?["settings"]?.object?["seed"]?.string
            return seed.flatMap(Double.init).map(JSON.number) ?? .null
        }
        // From the metadata of the first picture, which also has the settings that the model determined.
        let used = Self.parameters(texts.first ?? "")
        let guidance = used["CFG scale"]?.string.flatMap(Double.init)
        let prompt = JSON.string(wanted.job.prompt == " " ? "" : wanted.job.prompt)
        let negative = JSON.string(wanted.job.negativePrompt ?? "")
        func each(_ value: JSON) -> JSON { .array(jobs.map { _ in value }) }
        return .object([
            "prompt": prompt, "all_prompts": each(prompt),
            "negative_prompt": negative, "all_negative_prompts": each(negative),
            "seed": seeds.first ?? .number(-1), "all_seeds": .array(seeds),
            "subseed": .number(0), "all_subseeds": each(.number(0)),
            "subseed_strength": .number(0),
            "width": .count(plan.width), "height": .count(plan.height),
            "sampler_name": wanted.sampler.map(JSON.string) ?? used["Sampler"] ?? .string(""),
            "cfg_scale": .optional(guidance), "steps": .count(plan.steps),
            "batch_size": .count(wanted.batchSize), "restore_faces": .bool(false),
            "sd_model_name": .string(plan.model), "denoising_strength": .optional(wanted.strength),
            "extra_generation_params": .object(
                wanted.notes.isEmpty
                    ? [:] : ["Tessera": .string(wanted.notes.joined(separator: "; "))]
            ),
            "index_of_first_image": .number(0), "infotexts": .array(texts.map(JSON.string)),
            "styles": .array([]),
            "job_timestamp": .string("\(Int(jobs.first?.created ?? 0))"),
            "clip_skip": wanted.job.settings[Settings.clipSkip.name] ?? .number(1),
            "is_using_inpainting_conditioning": .bool(false),
        ])
    }

    /// Parses the settings in a picture's `parameters` text into fields by name.
    static func parameters(_ text: String) -> [String: JSON] {
        guard !text.isEmpty else { return [:] }
        let info = Infotext(text)
        var fields = Dictionary(
            info.fields.map { ($0.key, JSON.string($0.value)) },
            uniquingKeysWith: { $1 }
        )
        fields["Prompt"] = .string(info.prompt)
        fields["Negative prompt"] = .string(info.negativePrompt ?? "")
        return fields
    }
}
