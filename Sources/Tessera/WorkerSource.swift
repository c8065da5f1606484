import Coordinator
import Engine
import Fleet
import Foundation
import Logging
import Protocol

/// Workers that a command starts: on this host, or on the hosts of a cluster file.
struct WorkerSource {
    let local: LocalFlags
    let model: ModelFlags
    let engine: EngineFlags
    /// What the workers are needed for.
    var role = CoordinatorRole.render

    /// - Throws: `InputError` for flags about hosts without a cluster file, and for invalid model flags
    init(_ local: LocalFlags, _ picture: PictureFlags, _ engine: EngineFlags) throws(InputError) {
        try local.checkHosts()
        (self.local, self.engine) = (local, engine)
        model = try picture.modelFlags()
    }

    /// - Throws: `InputError` for flags about hosts without a cluster file
    init(_ local: LocalFlags, model: ModelFlags, _ engine: EngineFlags) throws(InputError) {
        try local.checkHosts()
        (self.local, self.engine, self.model) = (local, engine, model)
    }

    /// Fills in the model from the cluster file if no flag names one.
    ///
    /// - Throws: `InputError` if the file is invalid
    func complete(_ options: inout PictureOptions) throws(InputError) {
        guard let path = local.cluster, let model = try file()?.model else { return }
        options.model = options.model ?? ClusterFile.resolve(model, in: path)
    }

    /// Starts the workers.
    ///
    /// - Throws: `InputError` if the file is invalid or a process cannot be started
    func open(
        _ session: RenderSession,
        _ identity: ModelIdentity,
        _ logger: Logger,
        _ cancellation: Cancellation
    ) throws -> Rendering.Workers {
        let path = session.model.path
        let model = model.with(session.options.modelOptions)
        if let file = try file(), let place = local.cluster {
            return try hosted(
                LaunchPlan(
                    file,
                    path: place,
                    try common(.init(model: path, flags: model, engine: engine))
                ),
                identity,
                logger,
                cancellation
            )
        }
        let modelFlags = try model.arguments()
        let devices = (try engine.devices() ?? []).map(\.rawValue)
        let localCount = try localCount()
        let cluster = try LocalCluster(
            workers: localCount,
            threads: local.threadsPerWorker,
            model: identity,
            logger: logger
        ) { endpoint, name, threads in
            var worker = WorkerArguments(endpoint: endpoint.address, model: path)
            worker.modelFlags = modelFlags
            (worker.backend, worker.precision) = (engine.backend, engine.precision)
            (worker.torch, worker.batch) = (engine.torch, engine.batch)
            return WorkerArguments.command(
                name: name,
                threads: threads,
                of: localCount,
                device: WorkerArguments.device(of: name, among: devices),
                flags: worker.flags,
                lifetime: .exitsWithCoordinator
            )
        }
        return Rendering.Workers(cluster: cluster.cluster, stop: cluster.stop)
    }

    /// Starts the workers and waits up to one minute until those of this host have joined; failures are reported
    /// elsewhere.
    func openAll(
        _ session: RenderSession,
        _ identity: ModelIdentity,
        _ logger: Logger,
        _ cancellation: Cancellation
    ) throws -> Rendering.Workers {
        var workers = try open(session, identity, logger, cancellation)
        guard local.cluster == nil else { return workers }
        let localCount = try localCount()
        workers.prepare = { [workers] cancellation in
            try workers.prepare(cancellation)
            let end = ContinuousClock.now + .seconds(60)
            while workers.activeCount < localCount, !cancellation.isCancelled,
                ContinuousClock.now < end
            {
                Thread.sleep(forTimeInterval: 0.02)
            }
        }
        return workers
    }

    /// Number of local workers: one per selected device unless a number is given.
    private func localCount() throws(InputError) -> Int {
        if let workers = local.workers { return workers }
        return try engine.devices()?.count ?? min(2, HostCores.count)
    }

    private func file() throws(InputError) -> ClusterFile? {
        try local.cluster.map { path throws(InputError) in
            try ClusterFile(file: path).only(local.hosts.only)
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
        _ logger: Logger,
        _ cancellation: Cancellation
    ) throws -> Rendering.Workers {
        let (hosted, waited) = try whenFree(cancellation) {
            try HostedCluster(plan, identity, role: role, logger: logger)
        }
        let least = local.hosts.minWorkers ?? plan.file.minWorkers ?? 1
        var workers = Rendering.Workers(
            cluster: hosted.cluster,
            stop: hosted.stop,
            prepare: { cancellation in
                try hosted.awaitWorkers(
                    least,
                    patience: plan.file.timeouts.join,
                    cancellation: cancellation
                )
            }
        )
        (workers.note, workers.rest, workers.waited) = (hosted.note, hosted.rest, waited)
        workers.summary = { hosted.summary }
        return workers
    }

    /// Opens a cluster on an endpoint that another render may be using; with --wait, as soon as it is free.
    ///
    /// - Returns: the cluster, and how long it waited for the endpoint
    /// - Throws: what `open` throws, `ClusterUnavailable` naming the holder of the endpoint, `RenderCancelled`
    private func whenFree<Opened>(
        _ cancellation: Cancellation,
        _ open: () throws -> Opened
    ) throws -> (Opened, Duration) {
        var isFirst = true
        let start = ContinuousClock.now
        while true {
            let waited = isFirst ? .zero : ContinuousClock.now - start
            do {
                return (try open(), waited)
            } catch let error as EndpointTaken {
                // Without a holder the endpoint has just become free: retry.
                guard local.wait, error.isWorthWaitingFor || error.holder == nil else {
                    throw error.error(waits: "--wait")
                }
                if isFirst, let holder = error.holder {
                    StandardError.write("waiting for \(error.endpoint): \(holder) uses it")
                    isFirst = false
                }
            }
            for _ in 0..<5 {
                if cancellation.isCancelled { throw RenderCancelled() }
                Thread.sleep(forTimeInterval: 0.1)
            }
        }
    }
}
