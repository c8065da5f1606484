import Engine
import Logging
import Protocol

/// A cluster of worker processes on this host, over a socket in a private directory. Leaves no
/// process and no file behind, however the render ends.
///
///     let cluster = try LocalCluster(
///         workers: 2, threads: nil, model: ModelIdentity(of: folder), logger: logger
///     ) { endpoint, name, threads in
///         ["worker", "--connect", endpoint.address, "--name", name, "--threads", "\(threads)",
///             "--end-with-coordinator", "--model", path]
///     }
///     defer { cluster.stop() }
package final class LocalCluster: ViewRenderer {
    package let cluster: Cluster
    private let workers: LocalWorkers
    private let directory: PrivateDirectory

    /// As everywhere, but patient while workers load their weights and compute their first unit: if they
    /// end, that is known at once.
    package static var policy: DispatcherState.Policy {
        var policy = DispatcherState.Policy()
        policy.grace = .seconds(600)
        // They are ours, and copies would compete for this host's cores and memory.
        policy.hedge = .seconds(30)
        policy.mayOthersJoin = false
        return policy
    }

    /// Listens and starts the workers; they join while the caller goes on.
    ///
    /// - Parameters:
    ///   - workers: at least 1
    ///   - threads: of each worker; nil shares this host's cores evenly
    ///   - model: the one that workers must have
    ///   - endpoint: where to listen; nil is a private directory
    ///   - program: the workers' program; nil is the one that runs now
    ///   - policy: when workers and batches are given up
    ///   - logger: gets what happens, and the workers' messages
    ///   - arguments: the command line of a worker without the program's name. The worker must be
    ///     told that it is a local child.
    /// - Throws: `InputError` when the directory or a process cannot be made, `SocketError`
    package init(
        workers: Int,
        threads: Int?,
        model: ModelIdentity,
        endpoint: Endpoint? = nil,
        program: String? = nil,
        policy: DispatcherState.Policy = LocalCluster.policy,
        logger: Logger,
        arguments:
            @escaping @Sendable (_ endpoint: Endpoint, _ name: String, _ threads: Int) ->
            [String]
    ) throws {
        directory = try PrivateDirectory()
        var configuration = Cluster.Configuration(
            endpoint: endpoint ?? directory.endpoint,
            model: model
        )
        configuration.policy = policy
        cluster = try Cluster(configuration, logger: logger)
        let bound = cluster.endpoint
        var launch = LocalWorkers.Launch(workers: workers, threads: threads) { name, threads in
            arguments(bound, name, threads)
        }
        if let program { launch.program = program }
        self.workers = try LocalWorkers(
            launch,
            for: cluster,
            expectOthers: false,
            logger: logger
        )
    }

    package func begin(_ job: JobDescription) throws { try cluster.begin(job) }

    package func predict(
        _ views: [ViewRequest],
        onDone: (Int) throws -> Void
    ) throws -> [Tensor] {
        try cluster.predict(views, onDone: onDone)
    }

    package func evaluate(
        _ tiles: [TileRequest],
        onDone: (Int) throws -> Void
    ) throws -> [Tensor] {
        try cluster.evaluate(tiles, onDone: onDone)
    }

    package func evaluate(
        _ parts: [PartRequest],
        onDone: (Int) throws -> Void
    ) throws -> [PartResult] {
        try cluster.evaluate(parts, onDone: onDone)
    }

    package func end() { cluster.end() }

    /// As `Cluster.cancel`: from any thread.
    package func cancel() { cluster.cancel() }

    /// As `Cluster.statistics`.
    package var statistics: [WorkerStatistics] { cluster.statistics }

    /// Process ids of the workers.
    package var processes: [Int32] { workers.processes }

    /// Dismisses the workers, waits until their processes have ended and removes the socket. Further
    /// calls do nothing.
    package func stop() {
        cluster.stop()
        workers.stop()
        directory.remove()
    }

    deinit { stop() }
}
