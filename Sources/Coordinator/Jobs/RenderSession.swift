import Engine
import Foundation
import Protocol

/// One picture from options to file: reads the model's configuration, plans, renders on whichever
/// workers it is given, and writes what was asked for.
package struct RenderSession {
    package static let version = "0.1.0"

    package let options: PictureOptions
    package let model: Model
    package let plan: RenderPlan
    /// The picture to begin with.
    private let picture: InitPicture?
    private let sampler: Sampler

    /// Reads the model's configuration, no weights, and plans.
    ///
    /// - Throws: `InputError` naming the flag or the file at fault
    package init(_ options: PictureOptions) throws {
        self.options = options
        var modelOptions = options.modelOptions
        modelOptions.vocabulary = ModelLocation.vocabulary
        model = try Model(path: try ModelLocation.resolve(options.model), options: modelOptions)
        let unet = try model.unetConfig()
        let vae = try model.vaeConfig()
        let geometry = ModelGeometry(
            nativeLatentSide: unet.sampleSize,
            vaeFactor: vae.factor,
            latentChannels: vae.latentChannels,
            usesTimeIDs: unet.needsTimeIDs,
            decoder: vae.decoder,
            encoder: vae.encoder
        )
        picture = try options.picture.map { choice throws(InputError) in
            try InitPicture(choice.path)
        }
        let config = try model.schedulerConfig()
        let settings = options.settings(
            for: geometry,
            scheduler: config.defaultKind,
            picture: picture?.size
        )
        try settings.validate(for: geometry)
        let scheduler = try Scheduler(
            settings.scheduler,
            config: config,
            steps: settings.steps,
            karras: settings.karras
        )
        plan = try RenderPlan(settings, model: geometry, scheduler: scheduler)
        sampler = Sampler(plan: plan, scheduler: scheduler)
        let halves = [plan.decode] + plan.enlargements.values.map(\.decode) + plan.allEncodes
        guard halves.allSatisfy(\.fitsMessages) else {
            throw InputError(
                model.path,
                "its VAE has too many norms or channels to decode a picture of this size in tiles",
                fix: "Render at most 1024×1024 pixels with it"
            )
        }
    }

    /// Digest of the picture to begin with.
    package var pictureDigest: String? { picture?.digest }

    /// Refuses a picture that cannot be read to its end before any worker starts.
    ///
    /// - Throws: `InputError` naming the file, `OutputError` when there is no room for it
    package func checkPicture() throws {
        guard let picture, let start = plan.settings.picture else { return }
        try picture.prepare(plan.pixels(ofPhase: 0), frame: start.frame)
    }

    /// Where the results go.
    package struct Outputs: Sendable {
        package var picture: String
        /// Bits of each colour in pictures.
        package var depth: PixelDepth
        package var phases: String?
        package var inputs: String?
        package var dump: String?

        package init(
            picture: String,
            depth: PixelDepth = .eight,
            phases: String? = nil,
            inputs: String? = nil,
            dump: String? = nil
        ) {
            (self.picture, self.depth) = (picture, depth)
            self.phases = phases
            self.inputs = inputs
            self.dump = dump
        }

        /// Refuses names of no known kind and folders that do not exist before hours are spent.
        ///
        /// - Throws: `InputError` naming the flag
        package func validate() throws(InputError) {
            _ = try PictureFormat(path: picture, flag: "--output")
            for (flag, path) in [("--output", picture), ("--dump", dump)] {
                guard let path else { continue }
                let folder = URL(fileURLWithPath: path).deletingLastPathComponent().path
                guard access(folder, W_OK) == 0 else {
                    throw InputError(
                        "\(flag) \(path)",
                        "the folder \(folder) cannot be written to",
                        fix: "Create it or choose another"
                    )
                }
                var isFolder: ObjCBool = false
                if FileManager.default.fileExists(atPath: path, isDirectory: &isFolder),
                    isFolder.boolValue
                {
                    throw InputError(
                        "\(flag) \(path)",
                        "it is a folder",
                        fix: "Name a file in it"
                    )
                }
            }
            guard let phases else { return }
            do {
                try FileManager.default.createDirectory(
                    atPath: phases,
                    withIntermediateDirectories: true
                )
            } catch {
                throw InputError(
                    "--save-phases \(phases)",
                    "the folder cannot be made",
                    fix: "Choose another"
                )
            }
        }
    }

    /// Refuses weights that are missing or damaged before any worker starts.
    ///
    /// - Throws: `InputError` naming the file
    package func checkWeights() throws(InputError) {
        _ = try model.weights(.unet)
        _ = try model.weights(.vae)
    }

    /// Encodes the prompts; the negative one is nil where guidance does not use it.
    ///
    /// - Throws: `InputError` from the text encoders' files
    package func conditioning(_ engine: EngineOptions) throws -> Conditioning {
        let encoder = try PromptEncoder(model: model, options: engine)
        let positive = try encoder.encode(options.prompt)
        let negative =
            plan.settings.guides ? try encoder.encodeNegative(options.negativePrompt) : nil
        return Conditioning(positive: positive, negative: negative)
    }

    /// Positive and negative prompt, encoded.
    package struct Conditioning: Sendable {
        package let positive: PromptEmbedding
        package let negative: PromptEmbedding?
    }

    /// A UNet for phase 1, where the coordinator is to render it.
    ///
    /// - Parameters:
    ///   - engine: how it computes; as the workers do, or the picture differs from theirs
    ///   - job: as the workers have it
    /// - Returns: nil where the workers render phase 1
    package func globalPass(_ engine: EngineOptions, job: JobDescription) -> GlobalPassUNet? {
        plan.settings.globalPass == .coordinator
            ? GlobalPassUNet(model: model, options: engine, job: job) : nil
    }

    /// Times a few views of the render.
    ///
    /// - Parameters:
    ///   - renderer: workers that have the job
    ///   - globalPass: renders phase 1; nil where workers do
    ///   - statistics: what each worker has done so far
    /// - Returns: how fast it would go
    /// - Throws: what the renderer throws
    package func speeds(
        on renderer: any ViewRenderer,
        globalPass: GlobalPassUNet?,
        statistics: @escaping () -> [WorkerStatistics]
    ) throws -> MeasuredSpeeds {
        try SpeedTrial(
            sampler: sampler,
            renderer: renderer,
            globalPass: globalPass,
            statistics: statistics
        ).run(noise: SeededNoise(seed: plan.settings.seed, kind: plan.settings.random))
    }

    /// Bytes of the weights that every worker's host holds: the UNet's and the VAE's files.
    package func weightBytes() throws(InputError) -> Int {
        var sum = 0
        for component in [Component.unet, .vae] {
            for path in try model.files(component) {
                let attributes = try? FileManager.default.attributesOfItem(atPath: path)
                sum += (attributes?[.size] as? NSNumber)?.intValue ?? 0
            }
        }
        return sum
    }

    /// What is the same for all views.
    package func job(_ conditioning: Conditioning) -> JobDescription {
        JobDescription(
            positive: PromptTensors(conditioning.positive),
            negative: conditioning.negative.map(PromptTensors.init),
            vaeFactor: plan.model.vaeFactor,
            latentChannels: plan.model.latentChannels,
            wire: plan.settings.wire
        )
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
            digest: digest,
            version: Self.version
        )
    }

    /// What a render does beside rendering.
    package struct Companions: Sendable {
        /// Renders phase 1; nil gives it to the workers.
        package var globalPass: GlobalPassUNet?
        /// Saves where the render stands.
        package var writer: CheckpointWriter?
        /// Where it goes on.
        package var resumed: (folder: JobFolder, record: JobFolder.Record)?

        package init(
            globalPass: GlobalPassUNet? = nil,
            writer: CheckpointWriter? = nil,
            resumed: (folder: JobFolder, record: JobFolder.Record)? = nil
        ) {
            (self.globalPass, self.writer, self.resumed) = (globalPass, writer, resumed)
        }
    }

    /// Renders and writes the picture.
    ///
    /// - Parameters:
    ///   - renderer: workers that have the job already
    ///   - digest: identity of the model, for the picture's text
    ///   - outputs: where the results go
    ///   - companions: what else there is to do
    ///   - observe: is told of progress; what it throws ends the render
    /// - Throws: what the renderer, the files or the observer throw; no half-written file stays
    package func render(
        on renderer: any ViewRenderer,
        digest: String,
        outputs: Outputs,
        companions: Companions = Companions(),
        observe: @escaping (RenderEvent) throws -> Void
    ) throws {
        let seeded = SeededNoise(seed: plan.settings.seed, kind: plan.settings.random)
        if let inputs = outputs.inputs {
            let recorded = try RecordedNoise(file: inputs, seeded: seeded)
            try render(
                on: renderer,
                noise: recorded,
                digest: digest,
                outputs: outputs,
                companions: companions,
                observe: observe
            )
        } else {
            try render(
                on: renderer,
                noise: seeded,
                digest: digest,
                outputs: outputs,
                companions: companions,
                observe: observe
            )
        }
    }

    private func render(
        on renderer: any ViewRenderer,
        noise: some NoiseSource,
        digest: String,
        outputs: Outputs,
        companions: Companions,
        observe: @escaping (RenderEvent) throws -> Void
    ) throws {
        let text = text(digest: digest)
        var noise = noise
        let start = try resume(companions, noise: &noise)
        if let start { try observe(.resumed(views: plan.views(before: start.state))) }
        var finished = start?.finished ?? []
        let decoder = RenderJob(sampler: sampler, renderer: renderer, observe: observe)
        let job = RenderJob(
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
                Checkpoint(state: state, drawn: drawn, finished: finished)
            )
        }
        let format = try PictureFormat(path: outputs.picture, flag: "--output")
        var sink = FileSink(
            try writer(outputs.picture, format, plan.settings.size, outputs.depth, text),
            depth: outputs.depth,
            keeping: outputs.dump != nil
        )
        try job.decode(latent, to: &sink)
        try sink.finish()
        if let dump = outputs.dump {
            let latents = finished.enumerated().map { ("final.\($0)", $1.channelsFirst()) }
            try SafeTensors.write(latents + [("image", sink.picture.channelsFirst())], to: dump)
        }
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
