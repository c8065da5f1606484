import ArgumentParser
import Coordinator
import Engine
import Fleet
import Foundation
import Logging
import Protocol
import Service

/// `tessera serve`: a queue of pictures with an HTTP API.
struct Serve: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract:
            "Renders pictures that clients submit over HTTP, from a queue that survives restarts.",
        discussion: """
            Jobs, their states and their pictures are kept in the folder --data. When the service is stopped or \
            killed, running jobs go on from their last step after the next start. It listens on this machine only, \
            unless --insecure lets it listen on the network, where anyone may then submit jobs.
            """
    )

    @Option(
        help: ArgumentHelp("Where to listen.", valueName: "host:port")
    )
    var listen = "127.0.0.1:7860"

    @Flag(help: "Listen on the network without encryption and without checking who asks.")
    var insecure = false

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

    @OptionGroup(title: "Model") var model: ModelFlags
    @OptionGroup(title: "Workers") var local: LocalFlags
    @OptionGroup(title: "Computation") var engine: EngineFlags
    @OptionGroup(title: "Limits") var limits: ServeLimitFlags
    @OptionGroup(title: "Logging") var logging: ServeLogFlags

    func run() throws {
        try ExitStatus.reporting {
            let address = try WebService.Address(listen, flag: "--listen")
            guard address.isLoopback || insecure else {
                throw InputError(
                    "--listen \(listen)",
                    "it can be reached from the network, and anyone may submit jobs there",
                    fix: "Use 127.0.0.1 behind a reverse proxy, or give --insecure"
                )
            }
            let logger = logging.logger
            if !address.isLoopback {
                logger.warning("anyone who can reach \(listen) can submit jobs: --insecure")
            }
            let folder = try ServiceFolder(path: try dataFolder())
            let store = try JobStore(path: folder.database)
            let limits = limits.limits
            let hub = EventHub(limit: limits.streams)
            let catalogue = ModelCatalogue(standard: try standardModel(), folder: models)
            let runner = JobRunner(
                JobRunner.Parts(
                    store: store,
                    folder: folder,
                    models: catalogue,
                    hub: hub,
                    open: opening,
                    computation: engine.computation,
                    retention: self.limits.retention,
                    logger: logger
                )
            )
            try serve(
                WebService(
                    address: address,
                    desk: FrontDesk(
                        store: store,
                        folder: folder,
                        models: catalogue,
                        runner: runner,
                        hub: hub,
                        limits: limits
                    ),
                    logger: logger
                ),
                at: address,
                runner,
                store
            )
        }
    }

    /// Serves until a signal; then the render in progress is saved.
    private func serve(
        _ web: WebService,
        at address: WebService.Address,
        _ runner: JobRunner,
        _ store: JobStore
    ) throws {
        let (signals, stop) = AsyncStream.makeStream(of: Void.self)
        Interrupts.handle { stop.finish() }
        let ended = BlockingQueue<Result<Void, any Error>>()
        Task {
            do {
                try await web.run(until: { for await _ in signals {} }) { port in
                    do {
                        try runner.start()
                        StandardErrorLog.note("serving http://\(address.host):\(port)")
                    } catch {
                        StandardErrorLog.note("error: \(error)")
                        stop.finish()
                    }
                }
                ended.put(.success(()))
            } catch {
                ended.put(.failure(error))
            }
        }
        let result = ended.take()
        runner.stop()
        let counts = try store.counts()
        let remaining = (counts[.queued] ?? 0) + (counts[.running] ?? 0)
        StandardErrorLog.note(
            remaining == 0
                ? "stopped; no job is left"
                : "stopped; \(remaining) jobs go on after the next start"
        )
        do {
            try result.get()
        } catch {
            throw InputError(
                "--listen \(listen)",
                "the server ended: \(error)",
                fix: "Choose another address"
            )
        }
    }

    private func dataFolder() throws(InputError) -> String {
        guard let path = data ?? UserFolder.state.named("service") else {
            throw InputError("--data", "$HOME is not set", fix: "Name a folder")
        }
        return path
    }

    /// The default model's path: relative ones are taken from the folder that the service was started in.
    private func standardModel() throws(InputError) -> String {
        var given = model.model
        if given == nil, let path = local.cluster, let own = try ClusterFile(file: path).model {
            given = ClusterFile.resolve(own, in: path)
        }
        let path = try ModelLocation.resolve(given)
        return URL(fileURLWithPath: path).standardizedFileURL.path
    }

    /// Starts workers for a job's model.
    private func opening(
        _ session: RenderSession,
        _ identity: ModelIdentity,
        _ logger: Logger,
        _ cancellation: Cancellation
    ) throws -> Rendering.Workers {
        try WorkerSource(local, model: model, engine)
            .open(session, identity, logger, cancellation)
    }
}
