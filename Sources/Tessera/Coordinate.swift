import ArgumentParser
import Coordinator
import Foundation
import Protocol

/// `tessera coordinator`: one picture, on workers that were started by hand.
struct Coordinate: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "coordinator",
        abstract: "Renders a picture on workers that connect to it (tessera worker --connect …)."
    )

    @OptionGroup var picture: PictureFlags
    @OptionGroup var outputs: OutputFlags
    @OptionGroup var engine: EngineFlags
    @OptionGroup var job: JobFlags

    @OptionGroup var security: CoordinatorSecurityFlags

    @Option(help: "Where to listen: tcp://HOST:PORT or ipc:///path; beyond loopback with --keys.")
    var bind = "tcp://127.0.0.1:7551"

    func run() throws {
        try ExitStatus.reporting { try render(nil) }
    }

    /// - Parameter resumed: the job to go on with
    /// - Throws: whatever ends the render
    func render(_ resumed: Rendering.Resumed?) throws {
        let rendering = Rendering(
            options: try picture.options(),
            outputs: outputs.places,
            engine: engine,
            job: job,
            command: "coordinator",
            resumed: resumed
        )
        try rendering.run { _, identity, logger in
            var configuration = Cluster.Configuration(
                endpoint: try Endpoint(bind, reach: security.reach),
                model: identity
            )
            configuration.security = try security.security()
            if security.insecure, !configuration.security.isEncrypted {
                logger.warning("anybody who reaches \(bind) may read and join: --insecure")
            }
            let cluster = try Cluster(configuration, logger: logger)
            FileHandle.standardError.write(
                Data("waiting for workers at \(cluster.endpoint.address)\n".utf8)
            )
            return Rendering.Workers(cluster: cluster, stop: cluster.stop)
        }
    }
}
