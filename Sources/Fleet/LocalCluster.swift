import Coordinator
import Engine
import Logging
import Protocol
import Synchronization

/// A cluster of worker processes on this host, over a socket in a private directory. Leaves no process or file behind,
/// however the render ends.
///
///     let cluster = try LocalCluster(
///         workers: 2, threads: nil, model: identity, logger: logger, arguments: arguments
///     )
///     defer { cluster.stop() }
package final class LocalCluster: Sendable {
    package let cluster: Cluster
    private let workers: WorkerGroup
    private let directory: PrivateDirectory
    private let watch: Watch
    private let isOver = BlockingQueue<Void>()

    /// Counts the workers that should be running.
    private final class Watch: Sendable {
        let running: Atomic<Int>
        let isStopping = Atomic<Bool>(false)

        init(_ workers: Int) { running = Atomic(workers) }
    }

    /// The default policy, but with more patience while workers load their weights and compute their first unit: if one
    /// ends, that is detected immediately.
    package static var policy: DispatcherState.Policy {
        var policy = DispatcherState.Policy()
        policy.grace = .seconds(600)
        // These workers are trusted, and duplicate work would compete for this host's cores and memory.
        policy.hedge = .seconds(30)
        policy.mayOthersJoin = false
        return policy
    }

    /// Starts listening and starts the workers; they join while the caller continues.
    ///
    /// - Parameters:
    ///   - workers: number of workers, at least 1
    ///   - threads: threads of each worker; nil divides this host's cores evenly
    ///   - model: the model that workers must have
    ///   - endpoint: where to listen; nil for a socket in a private directory
    ///   - program: the workers' program; nil for the one that is running
    ///   - policy: when to give up on workers and batches
    ///   - patience: how long a worker may be silent before it is killed: its work goes to others, but a render without
    ///     any other worker would never end
    ///   - logger: logs events and the workers' messages
    ///   - arguments: builds the command line of a worker, without the program's name; it must tell the worker that it
    ///     is a local child
    /// - Throws: `InputError` if the directory or a process cannot be created, `SocketError`
    package init(
        workers: Int,
        threads: Int?,
        model: ModelIdentity,
        endpoint: Endpoint? = nil,
        program: String? = nil,
        policy: DispatcherState.Policy = LocalCluster.policy,
        patience: Duration = .seconds(120),
        logger: Logger,
        arguments:
            (_ endpoint: Endpoint, _ name: String, _ threads: Int) -> [String]
    ) throws {
        directory = try PrivateDirectory()
        var configuration = Cluster.Configuration(
            endpoint: endpoint ?? directory.endpoint,
            model: model
        )
        configuration.policy = policy
        cluster = try Cluster(configuration, logger: logger)
        let watch = Watch(workers)
        self.watch = watch
        let (cluster, bound) = (cluster, cluster.endpoint)
        let each = threads ?? WorkerArguments.threadsEach(of: workers)
        self.workers = try WorkerGroup(
            (1...workers).map { ("local-\($0)", arguments(bound, "local-\($0)", each)) },
            program: program ?? Spawn.thisProgram,
            onEvent: { [weak cluster] event in
                switch event {
                case .started: break
                case .said(let name, let line):
                    WorkerLine(worker: name, text: line, isHeard: true).report(to: logger)
                case .ended(let name, let process, let account, _):
                    let left = watch.running.subtract(1, ordering: .relaxed).newValue
                    // If the last worker ends, that is reported as the reason why the render fails.
                    if left > 0, !watch.isStopping.load(ordering: .relaxed) {
                        logger.warning("worker \(account); the render goes on with the others")
                    }
                    cluster?.processEnded(name, process: process, account: account)
                // No other worker will join.
                case .allEnded: cluster?.expectNoMoreWorkers()
                }
            }
        )
        _ = NamedThread("frozen") { [isOver, cluster, workers = self.workers] in
            var frozen = FrozenWorkers()
            while isOver.take(before: .now + patience / FrozenWorkers.looks) == nil {
                for worker in frozen.look(at: cluster.statistics)
                where workers.kill(worker.process) {
                    let seconds = patience.components.seconds
                    logger.warning(
                        "worker \(worker.name) was not heard for \(seconds) s: it is frozen, and killed"
                    )
                }
            }
        }
    }

    /// Process ids of the workers.
    package var processes: [Int32] { workers.processes }

    /// Dismisses the workers, waits until their processes have ended and removes the socket. Later calls have no
    /// effect.
    package func stop() {
        watch.isStopping.store(true, ordering: .relaxed)
        isOver.put(())
        cluster.stop()
        workers.stop(dismissed: true)
        directory.remove()
    }

    deinit { stop() }
}
