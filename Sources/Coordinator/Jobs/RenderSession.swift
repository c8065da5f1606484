import Engine
import Foundation
import Protocol
import Sampling

/// One picture from options to file: reads the model's configuration, plans, renders on the given workers, and
/// writes the outputs.
package struct RenderSession {
    package static let version = tesseraVersion

    package let options: PictureOptions
    package let model: Model
    package let plan: RenderPlan
    /// Assumptions about the model that its files do not settle, one line each.
    package let notices: [String]
    let prediction: PredictionType
    /// The prompts, split into chunks.
    package let prompts: PromptPair
    /// The prompts for the refiner, if there is one.
    private let refinerPrompts: PromptPair?
    /// The init image.
    let picture: InitPicture?
    /// Which part of the init image changes; nil for all of it.
    let mask: MaskPicture?
    let scheduler: Scheduler
    /// The settings that the model's own file suggests; flags override them.
    package let suggestion: String?
    /// Words and digests of the textual inversions.
    let embeddings: [String]

    /// Reads the model's configuration, but no weights, and plans.
    ///
    /// - Throws: `InputError` naming the flag or the file at fault
    package init(_ options: PictureOptions) throws {
        try options.checkPrompts()
        var modelOptions = options.modelOptions
        modelOptions.vocabulary = ModelLocation.vocabulary
        model = try Model(path: try ModelLocation.resolve(options.model), options: modelOptions)
        let geometry = try model.architecture.geometry()
        picture = try options.picture.map { choice throws(InputError) in
            try InitPicture(choice.path, limits: choice.limits, growth: options.growth)
        }
        mask =
            options.isMasked
            ? try picture.map { picture throws(InputError) in
                try MaskPicture(options.mask, of: picture.ownSize, growth: options.growth)
            } : nil
        embeddings = try model.inversions().map { inversion in
            "\(inversion.word):\(try FileDigest.of(inversion.path, cache: nil).prefix(16))"
        }
        let config = try model.schedulerConfig()
        prediction = config.prediction
        let distillation = options.usesModelPreset ? model.distillation : nil
        let defaults =
            options.usesModelDefaults
            ? try ModelDefaults(
                ofModel: model.path,
                geometry: geometry,
                memory: options.suggestions
            ) : nil
        var options = options
        options.negativePrompt = options.negativePrompt ?? defaults?.negativePrompt
        self.options = options
        let isChosen = options.settings.has(Settings.scheduler) || distillation?.scheduler != nil
        if let refusal = config.refusal, !isChosen { throw refusal }
        let place = try model.schedulerPlace()
        let agreement = try options.agreement(
            for: geometry,
            scheduler: config.defaultKind,
            distillation: distillation,
            defaults: defaults,
            picture: picture?.size
        ) { settings, given throws(InputError) in
            try options.preset?.check(given, in: settings)
            try settings.validate(for: geometry, given: given)
            let scheduler = try Scheduler(
                settings.scheduler,
                config: config,
                steps: settings.steps,
                karras: settings.karras,
                choice: settings.schedule
            )
            try scheduler.checkFinite(place: place)
            let parts = PromptPart.parts(of: options.prompt, settings.promptSyntax)
            return (
                scheduler,
                try RenderPlan(
                    settings,
                    model: geometry,
                    scheduler: scheduler,
                    promptWeights: parts.map(\.weight)
                )
            )
        }
        let settings = agreement.settings
        (scheduler, plan) = agreement.checked
        try model.checkClipSkip(settings.clipSkip)
        suggestion = Self.suggestion(
            defaults,
            settings,
            given: options.settings,
            replaced: options.replacedSuggestions(hasPicture: picture != nil),
            dropped: agreement.dropped
        )
        let weights = PromptPart.parts(of: options.prompt, settings.promptSyntax).map(\.weight)
        if geometry.embedsGuidance, PromptPart.areJoined(weights) {
            throw InputError(
                "the prompt",
                "AND needs guidance by a negative prompt, and this model takes the guidance scale as an input instead",
                fix: "Leave AND out, or choose a model that was not distilled with guidance"
            )
        }
        guard geometry.pictureInput != .editing || weights.count < PromptPart.maxCount else {
            throw InputError(
                "the prompt",
                "AND joins \(weights.count) prompts, and a model that edits pictures takes at most "
                    + "\(PromptPart.maxCount - 1)",
                fix: "Join fewer"
            )
        }
        let guides = settings.guides && !geometry.embedsGuidance
        let wording = PromptWording(
            options.prompt,
            negative: options.negativePrompt,
            positive2: options.prompt2,
            negative2: options.negativePrompt2,
            syntax: settings.promptSyntax
        )
        prompts = try PromptPair(wording, steps: settings.steps, guides: guides, model: model)
        refinerPrompts = try model.refiner.map {
            try PromptPair(
                wording.ofSecondEncoder,
                steps: settings.steps,
                guides: guides,
                model: $0
            )
        }
        var crop: String?
        if let picture, let frame = settings.frame, !options.growth.isNone {
            crop = try options.growth.check(
                frame,
                of: picture.ownSize,
                size: settings.size,
                factor: geometry.vaeFactor
            )
        }
        notices =
            try Self.notices(model, config, distillation, settings) + [crop].compactMap(\.self)
            + Self.notices(plan) + Self.notices(of: prompts, options, settings)
        guard (plan.decodes + plan.allEncodes).allSatisfy(\.fitsMessages) else {
            throw InputError(
                model.path,
                "its VAE has too many norms or channels to decode a picture of this size in tiles",
                fix: "Render at most 1024×1024 pixels with it"
            )
        }
    }

    /// Digest of the init image.
    package var pictureDigest: String? { picture?.digest }

    /// Rejects an unreadable picture before any worker starts.
    ///
    /// - Parameter report: called with the fraction read, about once a second
    /// - Throws: `InputError` naming the file, `OutputError` if there is no room for it, and what
    ///   `report` throws
    package func checkPicture(report: (Double) throws -> Void = { _ in }) throws {
        guard let picture, let frame = plan.settings.frame else { return }
        try picture.prepare(plan.pixels(ofPhase: 0), frame: frame, report: report)
        guard let mask else { return }
        let size = plan.phases[0].phase.latent
        let changed = try mask.latent(size, factor: plan.model.vaeFactor, frame: frame)
        guard changed.values.contains(1) else {
            guard let file = options.mask else {
                throw InputError(
                    "--extend \(options.growth.written)",
                    "the new part is less than a pixel of the result, so nothing would change",
                    fix: "Extend the picture by more"
                )
            }
            throw InputError(
                "--mask \(file.path)",
                "nothing in it is white, so nothing would change",
                fix: "Paint white what is to change"
            )
        }
    }

    /// Rejects weights that are missing, damaged or do not match their configurations, before any worker starts.
    ///
    /// Also looks for NaN, which reads large files once (`Model.scan`).
    ///
    /// - Throws: `InputError` naming the file
    package func checkWeights() throws {
        // If nothing is encoded, check as workers do: an encoder must be valid if there is one.
        let encoder = plan.allEncodes.isEmpty ? nil : true
        try model.scan(try model.check(ModelNeeds(encoder: encoder, texts: true)))
    }

    /// Encodes the prompts; the negative one is nil if guidance does not use it.
    ///
    /// - Throws: `InputError` from the text encoders' files
    package func encodedPrompts(_ engine: EngineOptions) throws -> Prompts {
        let encoded = try encoded(prompts, by: model, engine)
        guard let refiner = model.refiner, let refinerPrompts else { return encoded }
        return encoded.refined(by: try self.encoded(refinerPrompts, by: refiner, engine))
    }

    private func encoded(
        _ prompts: PromptPair,
        by model: Model,
        _ engine: EngineOptions
    ) throws -> Prompts {
        let embeddings = try model.architecture.embeddings(
            of: prompts,
            guided: prompts.negative != nil,
            clipSkip: plan.settings.clipSkip,
            options: engine
        )
        return Prompts(
            turns: zip(prompts.turns, embeddings).map { turn, embedding in
                let parts = zip(embedding.positives, prompts.weights).map {
                    Prompts.Part($0, weight: $1)
                }
                return (turn.steps, Prompts(parts: parts, negative: embedding.negative))
            }
        )
    }

    /// Everything that the encoded prompts depend on, besides the weights that workers have.
    var promptKey: String {
        let settings = plan.settings
        let texts = [
            options.prompt, options.negativePrompt, options.prompt2, options.negativePrompt2,
        ]
        return "\(texts) \(settings.promptSyntax) \(settings.steps) \(settings.guides) "
            + "\(settings.clipSkip ?? 0) \(model.path) \(options.modelOptions) \(embeddings)"
    }

    /// The renderer of phase 1, if the coordinator renders it.
    ///
    /// - Parameters:
    ///   - engine: engine options; must match the workers, or the result differs from theirs
    ///   - identity: the model's identity
    ///   - memory: keeps the networks for other renders; nil unloads them after phase 1
    ///   - cancellation: cancels the renderer
    /// - Returns: nil if the workers render phase 1
    package func globalPass(
        _ engine: EngineOptions,
        _ identity: ModelIdentity,
        memory: SeriesMemory? = nil,
        cancellation: Cancellation
    ) -> LocalRenderer? {
        guard plan.settings.globalPass == .coordinator else { return nil }
        return localRenderer(engine, identity, memory: memory, cancellation: cancellation)
    }

    /// A renderer in this process, which loads networks only when they are needed.
    func localRenderer(
        _ engine: EngineOptions,
        _ identity: ModelIdentity,
        memory: SeriesMemory?,
        cancellation: Cancellation
    ) -> LocalRenderer {
        func networks() -> any ModelNetworks {
            LoadedNetworks(model, identity: identity, options: engine)
        }
        return LocalRenderer(
            Evaluator(memory?.networks(identity, engine, make: networks) ?? networks()),
            wire: plan.settings.wire,
            isShared: memory != nil,
            cancellation: cancellation
        )
    }

    /// Bytes of the weights that every worker's host holds: the UNet's and the VAE's files.
    package func weightBytes() throws -> Int {
        // A single-file model holds both in one file.
        let refiner = try model.refiner?.files(.unet) ?? []
        let paths = Set(try model.files(.unet) + model.files(.vae) + refiner)
        return paths.reduce(0) { sum, path in
            let attributes = try? FileManager.default.attributesOfItem(atPath: path)
            return sum + ((attributes?[.size] as? NSNumber)?.intValue ?? 0)
        }
    }

    /// Every setting, as text for the picture's metadata.
    package func text(digest: String) -> PictureText {
        var text = PictureText(
            prompt: options.prompt,
            negativePrompt: options.negativePrompt,
            plan: plan,
            model: URL(fileURLWithPath: model.path).lastPathComponent,
            loras: model.options.loras,
            picture: picture.map {
                ($0.name, $0.digest)
            },
            mask: mask?.identity,
            growth: options.growth,
            promptChunks: prompts.count,
            secondPrompts: (options.prompt2, options.negativePrompt2),
            embeddings: embeddings,
            parts: model.options.partNames,
            digest: digest,
            prediction: prediction,
            version: Self.version
        )
        text.unstored = model.options.unstoredNames
        return text
    }
}
