import ArgumentParser
import Coordinator
import Engine
import Foundation
import Logging
import Protocol

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
        let file = try local.cluster.map { path throws(InputError) in
            try ClusterFile(file: path).only(local.hosts.only)
        }
        if let path = local.cluster, let model = file?.model {
            options.model = options.model ?? ClusterFile.resolve(model, in: path)
        }
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
            if let file, let place = local.cluster {
                return try hosted(
                    LaunchPlan(
                        file,
                        path: place,
                        try common(.init(model: path, flags: picture.model, engine: engine))
                    ),
                    identity,
                    logger
                )
            }
            let more = try picture.model.arguments() + engine.arguments
            let cluster = try LocalCluster(
                workers: local.workers ?? min(2, HostCores.count),
                threads: local.threadsPerWorker,
                model: identity,
                logger: logger
            ) { endpoint, name, threads in
                [
                    "worker", "--connect", endpoint.address, "--name", name, "--threads",
                    "\(threads)", "--end-with-coordinator", "--model", path,
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

    private func common(_ common: LaunchPlan.Common) -> LaunchPlan.Common {
        var common = common
        (common.workers, common.threads) = (local.workers, local.threadsPerWorker)
        return common
    }

    private func hosted(
        _ plan: LaunchPlan,
        _ identity: ModelIdentity,
        _ logger: Logger
    ) throws -> Rendering.Workers {
        let hosted = try HostedCluster(plan, identity, logger: logger)
        let least = local.hosts.minWorkers ?? plan.file.minWorkers ?? 1
        return Rendering.Workers(
            renderer: hosted.cluster,
            cancel: hosted.cancel,
            stop: hosted.stop,
            statistics: { hosted.cluster.statistics },
            prepare: {
                try hosted.awaitWorkers(least, patience: plan.file.timeouts.join)
            }
        )
    }
}
