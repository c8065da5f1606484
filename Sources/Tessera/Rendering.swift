import Coordinator
import Engine
import Foundation
import Logging
import Protocol

/// What `render` and `coordinator` share: from flags to the picture, on workers that `open` brings.
struct Rendering {
    let options: PictureOptions
    let outputs: RenderSession.Outputs
    let engine: EngineFlags
    let job: JobFlags
    let display: DisplayFlags
    let seed: Seed
    /// The subcommand, as it is called to resume.
    let command: String
    /// The job to go on with.
    let resumed: Resumed?

    typealias Resumed = (folder: JobFolder, record: JobFolder.Record)

    /// Workers to render on, and how to end them.
    struct Workers {
        let cluster: Cluster
        let stop: () -> Void
        /// Waits until there are enough of them.
        var prepare: (Cancellation) throws -> Void = { _ in }
    }

    /// Renders the picture and writes it.
    ///
    /// - Parameter open: starts or awaits workers that have the model
    /// - Throws: whatever ends the render; the workers are stopped first
    func run(_ open: (RenderSession, ModelIdentity, Logger) throws -> Workers) throws {
        let start = ContinuousClock.now
        let logger = Logger(label: "tessera") { _ in StandardErrorLog(level: .warning) }
        guard !options.prompt.isEmpty else {
            throw InputError("--prompt", "it is missing", fix: "Say what the picture shows")
        }
        try outputs.validate()
        try engine.options(threads: 1).check()
        let interruption = Interruption()
        Interrupts.handle(interruption.happen)
        if resumed == nil, let folder = job.jobDir { try JobFolder.checkFree(folder) }
        let session = try RenderSession(options)
        try session.checkWeights()
        for line in session.notices { StandardError.write(line) }
        if resumed == nil {
            var told = ContinuousClock.now - .seconds(4)
            try session.checkPicture { share in
                if interruption.hasHappened { throw RenderCancelled() }
                // After a second, then every five.
                guard ContinuousClock.now - told >= .seconds(5) else { return }
                told = .now
                StandardError.write(
                    "reading \(options.picture?.path ?? ""): \(Int(100 * share)) %"
                )
            }
        }
        try outputs.makeFolders()
        announce()
        let identity = try ModelIdentity(of: session.model)
        let record = try record(session, identity)
        let workers = try open(session, identity, logger)
        defer { workers.stop() }
        let wire = session.plan.settings.wire
        let (job, cancellation) = (
            workers.cluster.open(session.plan.model, wire: wire), Cancellation()
        )
        defer { job.end() }
        interruption.whenItHappens {
            cancellation.cancel()
            job.cancel()
        }
        try workers.prepare(cancellation)
        let display = ProgressDisplay(plan: session.plan, isQuiet: self.display.quiet)
        defer { display.clear() }
        display.note("prompt: \(session.prompts.summary)")
        let prompts = try session.encodedPrompts(engine.conditioning)
        let globalPass = session.globalPass(
            engine.options(threads: HostCores.count),
            identity,
            cancellation: cancellation
        )
        let writer = try writer(record, logger)
        let renderer = CountingRenderer(job, wire: wire)
        let path: String
        do {
            path = try session.render(
                on: renderer,
                prompts: prompts,
                digest: identity.digest,
                outputs: outputs,
                companions: .init(globalPass: globalPass, writer: writer, resumed: resumed)
            ) { display.show($0) }
        } catch {
            if let saved = writer?.finish() {
                StandardError.write("to go on: " + ShellWords.join(["tessera", "resume", saved]))
            }
            throw error
        }
        writer?.discard()
        if globalPass != nil, resumed == nil, session.plan.phases[0].isWhole {
            display.note("coordinator: \(session.plan.phases[0].views) views")
        }
        let done = workers.cluster.statistics.map(RenderResult.Worker.init)
        for worker in done { display.note(worker.line) }
        let tally = renderer.tally
        let calls = tally.evaluations + (globalPass?.evaluator.evaluations ?? 0)
        display.note(
            "\(calls) UNet calls, \(PlanTable.bytes(tally.viewBytes)) of latents and "
                + "\(PlanTable.bytes(tally.decodeBytes)) of tiles moved"
                + (session.plan.allEncodes.isEmpty
                    ? ""
                    : ", \(PlanTable.bytes(tally.encodeBytes)) to encode "
                        + (session.plan.encodes.isEmpty ? "enlarged pictures" : "the picture"))
        )
        let (size, seconds) = (
            session.plan.settings.size, (ContinuousClock.now - start) / .seconds(1)
        )
        display.note("\(path): \(size) in \(PlanTable.duration(seconds))")
        display.clear()
        let result = RenderResult(
            picture: URL(fileURLWithPath: path).standardizedFileURL.path,
            width: size.width,
            height: size.height,
            seed: "\(session.plan.settings.seed)",
            seconds: seconds,
            unetCalls: calls,
            latentBytes: tally.viewBytes,
            decodeBytes: tally.decodeBytes,
            encodeBytes: tally.encodeBytes,
            model: session.model.path,
            modelDigest: identity.digest,
            workers: done,
            version: RenderSession.version
        )
        do {
            if self.display.json {
                try StandardOutput.write(json: result)
            } else {
                try StandardOutput.write(path)
            }
        } catch let error as OutputError {
            throw OutputError(error.path, "\(error.reason); the picture is \(path)")
        }
    }

    /// Says what the command line does not: which seed was chosen, and what becomes of files that are there
    /// already.
    private func announce() {
        if seed.isChosen { display.note("seed \(seed.value)") }
        if outputs.isNumbered {
            let free = NumberedNames(outputs.picture).first { access($0, F_OK) != 0 }
            if let free, free != outputs.picture {
                display.note("\(outputs.picture) exists: the picture will be \(free)")
            }
        }
        let replaced =
            (outputs.isNumbered ? [] : [outputs.picture]) + (outputs.dump.map { [$0] } ?? [])
        for path in replaced where access(path, F_OK) == 0 {
            display.note("\(path) exists: it will be replaced when the picture is done")
        }
    }

    /// How this render was asked for; of one that goes on, what must still be true.
    private func record(
        _ session: RenderSession,
        _ identity: ModelIdentity
    ) throws(InputError) -> JobFolder.Record {
        let settings = session.text(digest: identity.digest).json
        guard let resumed else {
            return JobFolder.Record(
                command: command,
                // A seed that was chosen here stays.
                arguments: Invocation.flags + (seed.isChosen ? ["--seed=\(seed.value)"] : []),
                directory: FileManager.default.currentDirectoryPath,
                digest: identity.digest,
                settings: settings
            )
        }
        let place = resumed.folder.path
        guard resumed.record.digest == identity.digest else {
            throw InputError(
                session.model.path,
                "the model is not the one that \(place) was begun with",
                fix: "Bring the old files back, or render anew"
            )
        }
        guard resumed.record.settings == settings else {
            if let path = options.picture?.path, let digest = session.pictureDigest,
                !resumed.record.settings.contains(digest)
            {
                throw InputError(
                    path,
                    "the picture is not the one that \(place) was begun with",
                    fix: "Bring the old file back, or render anew"
                )
            }
            throw InputError(
                place,
                "its settings are not those that it was begun with",
                fix: "Resume it with the same flags and version of Tessera"
            )
        }
        return resumed.record
    }

    /// - Returns: nil where nothing is to be saved, or there is no place for it
    private func writer(
        _ record: JobFolder.Record,
        _ logger: Logger
    ) throws -> CheckpointWriter? {
        guard job.checkpointEvery > 0 else { return nil }
        guard let path = resumed?.folder.path ?? job.jobDir ?? JobFolder.newPath() else {
            logger.warning("nothing is saved to resume from: there is no home, give --job-dir")
            return nil
        }
        let folder = URL(fileURLWithPath: path)
        let isListed = folder.deletingLastPathComponent().path == JobFolder.defaultFolder
        let name = isListed ? folder.lastPathComponent : folder.path
        display.note("job " + ShellWords.join([name]))
        return try CheckpointWriter(
            path: folder.path,
            folder: resumed?.folder,
            record: record,
            every: job.checkpointEvery
        ) { logger.warning("\($0)") }
    }
}
