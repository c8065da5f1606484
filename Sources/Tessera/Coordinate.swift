import ArgumentParser
import Coordinator
import Engine
import Fleet
import Protocol

/// `tessera coordinator`: one picture, on workers that were started manually.
struct Coordinate: RenderCommand {
    static let configuration = CommandConfiguration(
        commandName: "coordinator",
        abstract:
            "Renders a picture, or several, on workers that connect to it (tessera worker --connect …)."
    )

    @OptionGroup var picture: PictureFlags
    @OptionGroup(title: "Workers") var listening: ListeningFlags
    @OptionGroup(title: "Workers") var security: CoordinatorSecurityFlags
    @OptionGroup(title: "Workers") var verify: VerifyFlags
    @OptionGroup(title: "Computation") var engine: EngineFlags
    @OptionGroup(title: "Output") var outputs: OutputFlags
    @OptionGroup(title: "Output") var display: DisplayFlags
    @OptionGroup(title: "Saving and resuming") var job: JobFlags

    func run() throws {
        try ExitStatus.reporting {
            let flags = Invocation.flags
            let list = try PictureList<Coordinate>(defaults: flags.defaults, given: flags.given)
            try ConsoleSeries(list: list).run()
        }
    }

    private static let defaultEndpoint = "tcp://127.0.0.1:7551"

    func rendering() throws -> Rendering {
        Rendering(
            options: try picture.options(),
            outputs: outputs.places,
            computation: engine.computation,
            logger: StandardErrorLog.logger
        ).verified(verify)
    }

    func opening() throws -> Rendering.Opening {
        { session, identity, logger, _ in
            var configuration = Cluster.Configuration(
                endpoint: try Endpoint(
                    listening.bind ?? Self.defaultEndpoint,
                    reach: security.reach
                ),
                model: identity
            )
            configuration.security = try security.security()
            // Includes the LoRA files that the prompt names.
            let flags = try picture.modelFlags()
            let common = try LaunchPlan.Common(
                model: session.model.path,
                flags: flags,
                engine: engine
            )
            common.require(of: &configuration)
            if security.insecure, !configuration.security.isEncrypted {
                logger.warning(
                    "anybody who can reach \(configuration.endpoint) can read the traffic and join: --insecure"
                )
            }
            let cluster: Cluster
            do {
                cluster = try Cluster(configuration, logger: logger)
            } catch let error as EndpointTaken {
                throw error.error(waits: nil)
            }
            let needed = ShellWords.join(flags.lora.flatMap { ["--lora", $0] })
            display.note(
                "waiting for workers at \(cluster.endpoint.address)"
                    + (needed.isEmpty ? "" : ", started with \(needed)")
            )
            let announcement = EndpointAnnouncement(cluster.endpoint)
            var workers = Rendering.Workers(
                cluster: cluster,
                stop: {
                    announcement.stop()
                    cluster.stop()
                }
            )
            workers.note = announcement.note
            return workers
        }
    }
}

/// The address that a coordinator listens on.
struct ListeningFlags: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Where to listen: tcp://HOST:PORT or ipc:///path; --keys is required beyond loopback. "
                + "(default: tcp://127.0.0.1:7551)",
            valueName: "endpoint"
        )
    )
    var bind: String?

    /// The same flags, to pass on to another command.
    var arguments: [String] { bind.map { ["--bind", $0] } ?? [] }
}
