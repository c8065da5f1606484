import Engine
import Foundation
import Protocol
import Sampling

extension RenderSession {
    /// Optional parts of a render.
    package struct Companions: Sendable {
        /// Renders phase 1; nil if the workers do.
        package var globalPass: LocalRenderer?
        /// Saves the state of the render.
        package var writer: CheckpointWriter?
        /// The job to resume.
        package var resumed: (folder: JobFolder, record: JobFolder.Record)?
        /// Checks the workers' answers; the renderer evaluates with it.
        var verifier: VerifyingRenderer?
        /// Statistics of the workers so far.
        package var workers: @Sendable () -> [WorkerStatistics]

        package init(
            globalPass: LocalRenderer? = nil,
            writer: CheckpointWriter? = nil,
            resumed: (folder: JobFolder, record: JobFolder.Record)? = nil,
            workers: @escaping @Sendable () -> [WorkerStatistics] = { [] }
        ) {
            self.workers = workers
            (self.globalPass, self.writer, self.resumed) = (globalPass, writer, resumed)
        }
    }

    /// Renders and writes the picture.
    ///
    /// - Parameters:
    ///   - renderer: the workers
    ///   - prompts: the encoded prompts
    ///   - digest: identity of the model, for the picture's text
    ///   - outputs: where the results go
    ///   - companions: optional parts
    ///   - observe: called with progress; an error it throws ends the render
    /// - Returns: the picture's path
    /// - Throws: what the renderer, the files or the observer throw; no partial file is left behind
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
        let format = try outputs.resolvedFormat()
        var text = text(digest: digest)
        if let inputs = outputs.inputs {
            text.unstored.append(("inputs", URL(fileURLWithPath: inputs).lastPathComponent))
        }
        if format.isLossy, outputs.quality != PictureFormat.defaultQuality {
            text.quality = outputs.quality
        }
        let described = text
        var drawing = noise
        var start = try resume(companions, noise: &drawing)
        let largest = plan.phases.map(\.phase.latent.area).max() ?? 0
        companions.verifier?.begin(
            from: start,
            latentBytes: largest * plan.model.latentChannels * MemoryLayout<Float>.size,
            folder: companions.writer?.path
        )
        if let start { try observe(.resumed(views: plan.views(before: start.state))) }
        while true {
            do {
                let path = try renderOnce(
                    on: renderer,
                    prompts: prompts,
                    noise: &drawing,
                    from: start,
                    described: described,
                    outputs: outputs,
                    companions: companions,
                    observe: observe
                )
                return path
            } catch let error as WrongAnswers {
                guard let verifier = companions.verifier else { throw error }
                start = verifier.goBack(error) { path in
                    var position = noise
                    return try Checkpoint(
                        file: path,
                        plan: plan,
                        job: Checkpoint.keptJob,
                        noise: &position
                    )
                }
                // What was saved since then depends on wrong answers.
                companions.writer?.goBack(to: start)
                if let ending = verifier.ending { throw ending }
                drawing = noise
                if let start { try drawing.skip(to: start.drawn) }
                try observe(.resumed(views: start.map { plan.views(before: $0.state) } ?? 0))
            }
        }
    }

    /// Renders from a state to the end.
    ///
    /// - Throws: `WrongAnswers` if it must be called again from an earlier state, and as `render`
    private func renderOnce(
        on renderer: any UnitRenderer,
        prompts: Prompts,
        noise: inout some NoiseSource,
        from start: Checkpoint?,
        described: PictureText,
        outputs: Outputs,
        companions: Companions,
        observe: @escaping (RenderEvent) throws -> Void
    ) throws -> String {
        let format = try outputs.resolvedFormat()
        func computed() -> PictureText {
            described.computed(by: companions.workers(), globalPass: companions.globalPass)
        }
        let sampler = Sampler(plan: plan, scheduler: scheduler, prompts: prompts)
        var finished = start?.finished ?? []
        let decoder = RenderLoop(sampler: sampler, renderer: renderer, observe: observe)
        let job = RenderLoop(
            sampler: sampler,
            renderer: renderer,
            globalPass: companions.globalPass,
            picture: picture,
            mask: mask
        ) { event in
            try observe(event)
            guard case .finished(let phase, let latent) = event else { return }
            if outputs.dump != nil { finished.append(latent) }
            let isLast = phase == plan.phases.count - 1
            if let folder = outputs.phases, outputs.savesLastPhase || !isLast {
                let size = plan.pixels(ofPhase: phase)
                let name = "phase-\(phase + 1)-\(size.width)x\(size.height).png"
                let file = "\(folder)/\(name)"
                var sink = FileSink(
                    try writer(file, .png, size, outputs.depth, computed()),
                    depth: outputs.depth
                )
                try decoder.decode(latent, to: &sink)
                try sink.finish()
            }
        }
        let latent = try job.sample(noise: &noise, from: start?.state) { state, drawn in
            let checkpoint = Checkpoint(
                state: state,
                drawn: drawn,
                finished: finished,
                steps: plan.phases[min(state.phase, plan.phases.count - 1)].steps.upperBound,
                phases: plan.phases.count
            )
            if let verifier = companions.verifier {
                if let saved = verifier.reached(checkpoint) { companions.writer?.reached(saved) }
            } else {
                companions.writer?.reached(checkpoint)
            }
        }
        var sink = FileSink(
            try writer(
                outputs.picture,
                format,
                plan.settings.size,
                outputs.depth,
                computed(),
                quality: outputs.quality
            ),
            depth: outputs.depth,
            keeping: outputs.dump != nil
        )
        try job.finish(latent, to: &sink)
        try companions.verifier?.settle()
        let path = try sink.finish(numbered: outputs.isNumbered)
        if let dump = outputs.dump {
            let latents = finished.enumerated().map { ("final.\($0)", $1.channelsFirst()) }
            try SafeTensors.write(latents + [("image", sink.picture.channelsFirst())], to: dump)
        }
        return path
    }

    /// The saved state of a job; nil for a new job, or for one that ended before its first step was saved.
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
        _ text: PictureText,
        quality: Int? = nil
    ) throws -> any PictureWriter {
        try format.writer(
            path,
            width: size.width,
            height: size.height,
            depth: depth,
            quality: quality ?? PictureFormat.defaultQuality,
            text: text.chunks
        )
    }
}
