import ArgumentParser
import Coordinator
import Engine
import Fleet
import Foundation
import Logging
import Protocol
import Service
import Synchronization

/// `tessera serve`: a queue of pictures with an HTTP API.
struct Serve: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract:
            "Renders pictures that clients submit over HTTP, from a queue that survives restarts.",
        discussion: """
            Jobs, their states and their pictures are kept in the folder --data. When the service is stopped or \
            killed, running jobs go on from their last step after the next start. It listens on this machine only; \
            on the network it needs tokens (tessera tokens) and either a certificate or a reverse proxy.
            """
    )

    @Option(
        help: ArgumentHelp("Where to listen.", valueName: "host:port")
    )
    var listen = "127.0.0.1:7860"

    @Option(
        help: ArgumentHelp(
            "Folder for the queue and the pictures. (default: ~/.local/state/tessera/service)",
            valueName: "dir"
        ),
        completion: .directory
    )
    var data: String?

    @Option(
        help: ArgumentHelp(
            "Folder of models that clients may choose from: .safetensors files and folders in the Diffusers "
                + "layout.",
            valueName: "dir"
        ),
        completion: .directory
    )
    var models: String?

    @Option(
        help: ArgumentHelp(
            "Folder of LoRA files that clients may choose from, by name or as <lora:name:0.8> in a prompt.",
            valueName: "dir"
        ),
        completion: .directory
    )
    var loraDir: String?

    @Option(
        help: ArgumentHelp(
            "Jobs to render at once, of one model: they share the workers step by step. The last of several is for small "
                + "pictures only, which then do not wait behind a large one.",
            valueName: "n"
        )
    )
    var concurrentJobs = 1

    @OptionGroup(title: "Model") var model: ModelFlags
    @OptionGroup(title: "Workers") var local: LocalFlags
    @OptionGroup(title: "Workers") var verify: VerifyFlags
    @OptionGroup(title: "Computation") var engine: EngineFlags
    @OptionGroup(title: "Access") var access: ServeAccessFlags
    @OptionGroup(title: "Limits") var limits: ServeLimitFlags
    @OptionGroup(title: "Logging") var logging: ServeLogFlags

    mutating func validate() throws {
        guard (1...16).contains(concurrentJobs) else {
            throw ValidationError("--concurrent-jobs must be from 1 to 16.")
        }
    }

    func run() throws {
        try ExitStatus.reporting {
            let address = try WebService.Address(listen, flag: "--listen")
            let tls = try access.tls()
            let exposure = try access.exposure(isLoopback: address.isLoopback, hasTLS: tls != nil)
            // Check before creating anything; whether tokens exist is known only once the database is open.
            try exposure.check(listen, hasTokens: true)
            let standard = try standardModel()
            // Otherwise every job that uses the default model would fail.
            try Model(path: standard, options: try model.options())
                .check(ModelNeeds(encoder: nil, texts: true))
            let logger = logging.logger
            ServiceMetricsSystem.start()
            let folder = try ServiceFolder(path: try dataFolder())
            let store = try JobStore(path: folder.database)
            try exposure.check(listen, hasTokens: try store.hasTokens())
            let limits = limits.limits
            let hub = EventHub(limit: limits.streams)
            let resources = JobResources(
                models: ModelCatalogue(standard: standard, folder: models),
                loras: LoRACatalogue(folder: loraDir),
                inputs: InputFolder(
                    path: folder.inputs,
                    limits: PictureLimits(pixels: limits.initPixels),
                    most: limits.inputBytes
                ),
                standardOptions: try model.options()
            )
            if let path = local.cluster {
                try ClusterMembers(ClusterFile(file: path), path: path).prepare()
            }
            let runner = JobRunner(
                JobRunner.Parts(
                    store: store,
                    folder: folder,
                    resources: resources,
                    hub: hub,
                    open: opening,
                    opensAtOnce: local.cluster != nil,
                    computation: engine.computation,
                    verify: verify.share,
                    siteBook: SiteBook(),
                    retention: self.limits.retention,
                    concurrent: concurrentJobs,
                    logger: logger
                )
            )
            try serve(
                WebService(
                    address: address,
                    tls: tls,
                    desk: FrontDesk(
                        store: store,
                        folder: folder,
                        resources: resources,
                        runner: runner,
                        hub: hub,
                        limits: limits,
                        exposure: exposure
                    ),
                    logger: logger
                ),
                at: "\(tls == nil ? "http" : "https")://\(address.written)",
                runner,
                store
            )
        }
    }

    /// Serves until a signal arrives; then saves the renders in progress.
    private func serve(
        _ web: WebService,
        at place: String,
        _ runner: JobRunner,
        _ store: JobStore
    ) throws {
        let (signals, stop) = AsyncStream.makeStream(of: Void.self)
        let hasStarted = Atomic(false)
        let logger = logging.logger
        Interrupts.handle { stop.finish() }
        let ended = BlockingQueue<Result<Void, any Error>>()
        Task {
            do {
                try await web.run(until: { for await _ in signals {} }) { port in
                    do {
                        hasStarted.store(true, ordering: .releasing)
                        try runner.start()
                        logger.notice("serving \(place):\(port)")
                    } catch {
                        logger.error("\(error)")
                        stop.finish()
                    }
                }
                ended.put(.success(()))
            } catch {
                ended.put(.failure(error))
            }
        }
        let result = ended.take()
        guard hasStarted.load(ordering: .acquiring) else { return try result.get() }
        runner.stop()
        let counts = try store.counts()
        let remaining = (counts[.queued] ?? 0) + (counts[.running] ?? 0)
        let left =
            switch remaining {
            case 0: "no job is left"
            case 1: "1 job goes on after the next start"
            default: "\(remaining) jobs go on after the next start"
            }
        logger.notice("stopped; \(left)")
        try result.get()
    }

    private func dataFolder() throws(InputError) -> String {
        try ServiceData.folder(data)
    }

    /// The default model's path; a relative one is resolved against the folder that the service was started in.
    private func standardModel() throws(InputError) -> String {
        var given = model.model
        if given == nil, let path = local.cluster, let own = try ClusterFile(file: path).model {
            given = ClusterFile.resolve(own, in: path)
        }
        let path = try ModelLocation.resolve(given)
        return URL(fileURLWithPath: path).standardizedFileURL.path
    }

    /// Starts workers for the model of a job.
    private func opening(
        _ session: RenderSession,
        _ identity: ModelIdentity,
        _ logger: Logger,
        _ cancellation: Cancellation
    ) throws -> Rendering.Workers {
        var source = try WorkerSource(local, model: model, engine)
        source.role = .service
        return try source.open(session, identity, logger, cancellation)
    }
}
