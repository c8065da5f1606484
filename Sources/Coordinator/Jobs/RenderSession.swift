import Engine
import Foundation
import Protocol
import Sampling

/// One picture from options to file: reads the model's configuration, plans, renders on whichever
/// workers it is given, and writes what was asked for.
package struct RenderSession {
    package static let version = "0.1.0"

    package let options: PictureOptions
    package let model: Model
    package let plan: RenderPlan
    /// What was assumed of the model because nothing says it, one line each.
    package let notices: [String]
    private let prediction: PredictionType
    /// The prompts, cut into chunks.
    package let prompts: PromptPair
    /// The picture to begin with.
    private let picture: InitPicture?
    private let scheduler: Scheduler
    /// Words and contents of the textual inversions.
    private let embeddings: [String]

    /// Reads the model's configuration, no weights, and plans.
    ///
    /// - Throws: `InputError` naming the flag or the file at fault
    package init(_ options: PictureOptions) throws {
        self.options = options
        var modelOptions = options.modelOptions
        modelOptions.vocabulary = ModelLocation.vocabulary
        model = try Model(path: try ModelLocation.resolve(options.model), options: modelOptions)
        let geometry = try model.architecture.geometry()
        picture = try options.picture.map { choice throws(InputError) in
            try InitPicture(choice.path, limits: choice.limits)
        }
        embeddings = try model.inversions().map { inversion in
            "\(inversion.word):\(try FileDigest.of(inversion.path, cache: nil).prefix(16))"
        }
        let config = try model.schedulerConfig()
        prediction = config.prediction
        let preset = options.usesModelPreset ? model.distillation : nil
        let settings = options.settings(
            for: geometry,
            scheduler: config.defaultKind,
            preset: preset,
            picture: picture?.size
        )
        try settings.validate(for: geometry)
        try model.checkClipSkip(settings.clipSkip)
        scheduler = try Scheduler(
            settings.scheduler,
            config: config,
            steps: settings.steps,
            karras: settings.karras,
            choice: settings.schedule
        )
        try scheduler.checkFinite(place: try model.schedulerPlace())
        plan = try RenderPlan(settings, model: geometry, scheduler: scheduler)
        prompts = try PromptPair(
            PromptWording(
                options.prompt,
                negative: options.negativePrompt,
                positive2: options.prompt2,
                negative2: options.negativePrompt2,
                syntax: settings.promptSyntax
            ),
            steps: settings.steps,
            guides: settings.guides,
            model: model
        )
        notices =
            try Self.notices(model, config, preset, settings)
            + Self.notices(of: prompts, options, settings)
        guard (plan.decodes + plan.allEncodes).allSatisfy(\.fitsMessages) else {
            throw InputError(
                model.path,
                "its VAE has too many norms or channels to decode a picture of this size in tiles",
                fix: "Render at most 1024×1024 pixels with it"
            )
        }
    }

    /// What a person should know of how their prompts are read.
    private static func notices(
        of prompts: PromptPair,
        _ options: PictureOptions,
        _ settings: RenderSettings
    ) -> [String] {
        var lines = prompts.unusedWords.map { "no prompt has '\($0)', the word of an embedding" }
        guard settings.promptSyntax == .plain else { return lines }
        for (flag, text) in [
            ("--prompt", options.prompt), ("--negative-prompt", options.negativePrompt),
            ("--prompt-2", options.prompt2), ("--negative-prompt-2", options.negativePrompt2),
        ] {
            guard let text, let hint = PromptSyntax.hint(in: text) else { continue }
            lines.append(
                "\(flag) is read as it is, \(hint) included; --prompt-syntax a1111 gives that a meaning"
            )
        }
        return lines
    }

    /// What a person should know of choices that were made for them.
    ///
    /// - Throws: `InputError` for a model whose name says that it predicts what is not supported
    private static func notices(
        _ model: Model,
        _ config: SchedulerConfig,
        _ preset: Distillation?,
        _ settings: RenderSettings
    ) throws(InputError) -> [String] {
        var lines: [String] = []
        func name(_ path: String) -> String { URL(fileURLWithPath: path).lastPathComponent }
        if model.predictionIsGuess {
            lines.append(
                "\(name(model.path)) is taken to predict \(config.prediction.rawValue) "
                    + "(\(model.predictionSource)); --prediction says otherwise"
            )
        }
        lines += model.adapters.compactMap(\.notice)
        guard let preset else { return lines }
        if let refusal = preset.refusal { throw refusal }
        let spacing = settings.schedule.spacing.map { ", \($0.rawValue) timesteps" } ?? ""
        lines.append(
            "\(name(preset.path)) is distilled (\(preset.method.rawValue)), by its name: "
                + "\(settings.steps) steps, guidance \(settings.guidance), "
                + "\(settings.scheduler.rawValue)\(spacing); "
                + "flags override these, --no-model-preset ignores the name"
        )
        return lines
    }

    /// Digest of the picture to begin with.
    package var pictureDigest: String? { picture?.digest }

    /// Refuses a picture that cannot be read to its end before any worker starts.
    ///
    /// - Parameter report: is given the share that is read, about once a second
    /// - Throws: `InputError` naming the file, `OutputError` when there is no room for it, and what
    ///   `report` throws
    package func checkPicture(report: (Double) throws -> Void = { _ in }) throws {
        guard let picture, let start = plan.settings.picture else { return }
        try picture.prepare(plan.pixels(ofPhase: 0), frame: start.frame, report: report)
    }

    /// Refuses weights that are missing or damaged, or do not fit their configurations, before any worker
    /// starts.
    ///
    /// Looks for NaN, too, which reads large files once (`Model.scan`).
    ///
    /// - Throws: `InputError` naming the file
    package func checkWeights() throws {
        // If nothing is encoded, check as workers do: an encoder must fit if there is one.
        let encoder = plan.allEncodes.isEmpty ? nil : true
        try model.scan(try model.check(ModelNeeds(encoder: encoder, texts: true)))
    }

    /// Encodes the prompts; the negative one is nil where guidance does not use it.
    ///
    /// - Throws: `InputError` from the text encoders' files
    package func encodedPrompts(_ engine: EngineOptions) throws -> Prompts {
        let embeddings = try model.architecture.embeddings(
            of: prompts,
            guided: plan.settings.guides,
            clipSkip: plan.settings.clipSkip,
            options: engine
        )
        return Prompts(
            turns: zip(prompts.turns, embeddings).map { turn, embedding in
                (turn.steps, Prompts(positive: embedding.positive, negative: embedding.negative))
            }
        )
    }

    /// What renders phase 1, where the coordinator is to do it.
    ///
    /// - Parameters:
    ///   - engine: how it computes; as the workers do, or the picture differs from theirs
    ///   - identity: of the model
    ///   - cancellation: ends it
    /// - Returns: nil where the workers render phase 1
    package func globalPass(
        _ engine: EngineOptions,
        _ identity: ModelIdentity,
        cancellation: Cancellation
    ) -> LocalRenderer? {
        guard plan.settings.globalPass == .coordinator else { return nil }
        return LocalRenderer(
            Evaluator(LoadedNetworks(model, identity: identity, options: engine)),
            wire: plan.settings.wire,
            cancellation: cancellation
        )
    }

    /// Times a few views of the render.
    ///
    /// - Parameters:
    ///   - renderer: the workers
    ///   - prompts: encoded
    ///   - globalPass: renders phase 1; nil where workers do
    ///   - statistics: what each worker has done so far
    /// - Returns: how fast it would go
    /// - Throws: what the renderer throws
    package func speeds(
        on renderer: any UnitRenderer,
        prompts: Prompts,
        globalPass: LocalRenderer?,
        statistics: @escaping () -> [WorkerStatistics]
    ) throws -> MeasuredSpeeds {
        try SpeedTrial(
            sampler: Sampler(plan: plan, scheduler: scheduler, prompts: prompts),
            renderer: renderer,
            globalPass: globalPass,
            statistics: statistics
        ).run(noise: SeededNoise(seed: plan.settings.seed, kind: plan.settings.random))
    }

    /// Bytes of the weights that every worker's host holds: the UNet's and the VAE's files.
    package func weightBytes() throws(InputError) -> Int {
        // A single file holds both.
        let paths = Set(try model.files(.unet) + model.files(.vae))
        return paths.reduce(0) { sum, path in
            let attributes = try? FileManager.default.attributesOfItem(atPath: path)
            return sum + ((attributes?[.size] as? NSNumber)?.intValue ?? 0)
        }
    }

    /// Every setting, as the picture will tell it.
    package func text(digest: String) -> PictureText {
        PictureText(
            prompt: options.prompt,
            negativePrompt: options.negativePrompt,
            plan: plan,
            model: URL(fileURLWithPath: model.path).lastPathComponent,
            loras: model.options.loras,
            picture: picture.map {
                ($0.file.path.split(separator: "/").last.map(String.init) ?? "", $0.digest)
            },
            promptChunks: prompts.count,
            secondPrompts: (options.prompt2, options.negativePrompt2),
            embeddings: embeddings,
            digest: digest,
            prediction: prediction,
            version: Self.version
        )
    }

    /// What a render does beside rendering.
    package struct Companions: Sendable {
        /// Renders phase 1; nil gives it to the workers.
        package var globalPass: LocalRenderer?
        /// Saves where the render stands.
        package var writer: CheckpointWriter?
        /// Where it goes on.
        package var resumed: (folder: JobFolder, record: JobFolder.Record)?

        package init(
            globalPass: LocalRenderer? = nil,
            writer: CheckpointWriter? = nil,
            resumed: (folder: JobFolder, record: JobFolder.Record)? = nil
        ) {
            (self.globalPass, self.writer, self.resumed) = (globalPass, writer, resumed)
        }
    }

    /// Renders and writes the picture.
    ///
    /// - Parameters:
    ///   - renderer: the workers
    ///   - prompts: encoded
    ///   - digest: identity of the model, for the picture's text
    ///   - outputs: where the results go
    ///   - companions: what else there is to do
    ///   - observe: is told of progress; what it throws ends the render
    /// - Returns: the picture's path
    /// - Throws: what the renderer, the files or the observer throw; no half-written file stays
    @discardableResult
    package func render(
        on renderer: any UnitRenderer,
        prompts: Prompts,
        digest: String,
        outputs: Outputs,
        companions: Companions = Companions(),
        observe: @escaping (RenderEvent) throws -> Void
    ) throws -> String {
        let seeded = SeededNoise(seed: plan.settings.seed, kind: plan.settings.random)
        if let inputs = outputs.inputs {
            let recorded = try RecordedNoise(file: inputs, seeded: seeded)
            return try render(
                on: renderer,
                prompts: prompts,
                noise: recorded,
                digest: digest,
                outputs: outputs,
                companions: companions,
                observe: observe
            )
        } else {
            return try render(
                on: renderer,
                prompts: prompts,
                noise: seeded,
                digest: digest,
                outputs: outputs,
                companions: companions,
                observe: observe
            )
        }
    }

    private func render(
        on renderer: any UnitRenderer,
        prompts: Prompts,
        noise: some NoiseSource,
        digest: String,
        outputs: Outputs,
        companions: Companions,
        observe: @escaping (RenderEvent) throws -> Void
    ) throws -> String {
        let text = text(digest: digest)
        let sampler = Sampler(plan: plan, scheduler: scheduler, prompts: prompts)
        var noise = noise
        let start = try resume(companions, noise: &noise)
        if let start { try observe(.resumed(views: plan.views(before: start.state))) }
        var finished = start?.finished ?? []
        let decoder = RenderLoop(sampler: sampler, renderer: renderer, observe: observe)
        let job = RenderLoop(
            sampler: sampler,
            renderer: renderer,
            globalPass: companions.globalPass,
            picture: picture
        ) { event in
            try observe(event)
            guard case .finished(let phase, let latent) = event else { return }
            if outputs.dump != nil { finished.append(latent) }
            if let folder = outputs.phases {
                let size = plan.pixels(ofPhase: phase)
                let name = "phase-\(phase + 1)-\(size.width)x\(size.height).png"
                let file = "\(folder)/\(name)"
                var sink = FileSink(
                    try writer(file, .png, size, outputs.depth, text),
                    depth: outputs.depth
                )
                try decoder.decode(latent, to: &sink)
                try sink.finish()
            }
        }
        let latent = try job.sample(noise: &noise, from: start?.state) { state, drawn in
            companions.writer?.reached(
                Checkpoint(
                    state: state,
                    drawn: drawn,
                    finished: finished,
                    steps: plan.phases[min(state.phase, plan.phases.count - 1)].steps.upperBound
                )
            )
        }
        let format = try PictureFormat(path: outputs.picture, flag: "--output")
        var sink = FileSink(
            try writer(outputs.picture, format, plan.settings.size, outputs.depth, text),
            depth: outputs.depth,
            keeping: outputs.dump != nil
        )
        try job.decode(latent, to: &sink)
        let path = try sink.finish(numbered: outputs.isNumbered)
        if let dump = outputs.dump {
            let latents = finished.enumerated().map { ("final.\($0)", $1.channelsFirst()) }
            try SafeTensors.write(latents + [("image", sink.picture.channelsFirst())], to: dump)
        }
        return path
    }

    /// Where a job stands; nil for one that begins, or that ended before its first step was saved.
    private func resume(
        _ companions: Companions,
        noise: inout some NoiseSource
    ) throws(InputError) -> Checkpoint? {
        guard let (folder, record) = companions.resumed,
            FileManager.default.fileExists(atPath: folder.statePath)
        else { return nil }
        return try Checkpoint(
            file: folder.statePath,
            plan: plan,
            job: record.identity,
            noise: &noise
        )
    }

    private func writer(
        _ path: String,
        _ format: PictureFormat,
        _ size: Extent,
        _ depth: PixelDepth,
        _ text: PictureText
    ) throws -> any PictureWriter {
        try format.writer(
            path,
            width: size.width,
            height: size.height,
            depth: depth,
            text: text.chunks
        )
    }
}
