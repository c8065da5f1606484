import ArgumentParser
import Coordinator
import Foundation

/// `tessera render`: one picture, on workers that it starts itself.
struct Render: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Renders a picture on workers that it starts on this host."
    )

    @OptionGroup var picture: PictureFlags
    @OptionGroup var outputs: OutputFlags
    @OptionGroup var local: LocalFlags
    @OptionGroup var engine: EngineFlags
    @OptionGroup var job: JobFlags

    func run() throws {
        try ExitStatus.reporting { try render(nil) }
    }

    /// - Parameter resumed: the job to go on with
    /// - Throws: whatever ends the render
    func render(_ resumed: Rendering.Resumed?) throws {
        var options = try picture.options()
        let launch = try local.launch()
        options.model = options.model ?? launch.model
        let engine = engine.comparing(outputs.inputs)
        let rendering = Rendering(
            options: options,
            outputs: outputs.places,
            engine: engine,
            job: job,
            command: "render",
            resumed: resumed
        )
        try rendering.run { session, identity, logger in
            let path = session.model.path
            let more = try picture.model.arguments() + engine.arguments
            let cluster = try LocalCluster(
                workers: launch.workers,
                threads: launch.threads,
                model: identity,
                endpoint: launch.endpoint,
                logger: logger
            ) { endpoint, name, threads in
                [
                    "worker", "--connect", endpoint.address, "--name", name, "--threads",
                    "\(threads)", "--local-child", "--model", path,
                ] + more
            }
            return Rendering.Workers(
                renderer: cluster,
                cancel: cluster.cancel,
                stop: cluster.stop,
                statistics: { cluster.statistics }
            )
        }
    }
}
