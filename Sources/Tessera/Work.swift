import ArgumentParser
import Coordinator
import Engine
import Fleet
import Foundation
import Logging
import Protocol
import Synchronization
import Worker

/// `tessera worker`: computes units of work for a coordinator.
struct Work: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "worker",
        abstract: "Connects to a coordinator and computes its units of work, until it is stopped."
    )

    @Option(help: ArgumentHelp("The coordinator's endpoint.", valueName: "endpoint"))
    var connect: String

    @OptionGroup var model: ModelFlags

    @Option(help: "Threads that share one evaluation. (default: all cores)")
    var threads: Int?

    @Option(help: "Name of this worker. (default: host name and process id)")
    var name: String?

    @Flag(
        help: ArgumentHelp(
            "Exit when standard input closes or the coordinator ends, like the workers that "
                + "tessera render starts. (default: keep trying to reconnect)"
        )
    )
    var endWithCoordinator = false

    @Flag(
        help: ArgumentHelp(
            "Stay when a coordinator refuses this worker for its model, precision or backend: keep connecting, and "
                + "change to what the coordinator requires if its model is on this host. (default: exit with "
                + "status 64)"
        )
    )
    var standing = false

    @OptionGroup var cache: ModelCacheFlags
    @OptionGroup var engine: EngineFlags
    @OptionGroup var security: WorkerSecurityFlags
    @OptionGroup var proxy: ProxyFlags
    @OptionGroup var sharing: ShareFlags

    mutating func validate() throws {
        if let threads, !(1...1024).contains(threads) {
            throw ValidationError("--threads must be from 1 to 1024.")
        }
    }

    func run() throws {
        try ExitStatus.reporting {
            let endpoint = try Endpoint(connect, reach: security.reach)
                .through(proxy.proxy(), reach: security.reach)
            let keys = try security.security()
            // This comes first: the parent process may already be gone.
            if endWithCoordinator { Lifeline.watchStandardInput(endpoint: endpoint) }
            let logger = Logger(label: "worker") { _ in
                StandardErrorLog(level: endWithCoordinator ? .warning : .info)
            }
            let loss = DeviceLoss()
            try loss.surviving(logger) { try work(endpoint, keys, logger) }
        }
    }

    /// What a signal stops: the search for a model, then the worker.
    private final class Stop: Sendable {
        let cancellation = Cancellation()
        private let worker = Mutex<WorkerProcess?>(nil)

        private let isInstalled = Mutex(false)

        func install() {
            let isFirst = isInstalled.withLock { isInstalled in
                defer { isInstalled = true }
                return !isInstalled
            }
            guard isFirst else { return }
            Interrupts.handle {
                self.cancellation.cancel()
                self.worker.withLock { $0?.stop() }
            }
        }

        func watch(_ process: WorkerProcess) {
            worker.withLock { $0 = process }
            if cancellation.isCancelled { process.stop() }
        }
    }

    /// This machine's model, or else the coordinator's.
    ///
    /// - Returns: nil if stopped in the meantime
    private func weights(
        _ options: WorkerProcess.Options,
        _ fetcher: ModelFetcher?,
        _ stop: Stop,
        _ logger: Logger
    ) throws -> Model? {
        do {
            let path = try ModelLocation.resolve(model.model)
            return try Model(path: path, options: try model.options())
        } catch {
            guard model.model == nil, fetcher != nil else { throw error }
        }
        stop.install()
        return try fetcher?.modelOfCoordinator(options, stop.cancellation, logger)
    }

    private func work(_ endpoint: Endpoint, _ keys: Security, _ logger: Logger) throws {
        let stop = Stop()
        var options = WorkerProcess.Options(endpoint: endpoint, name: name)
        options.isLocalChild = endWithCoordinator
        options.security = keys
        options.isInvited = security.keys.map(Membership.holds(key:)) ?? false
        options.neighbours = try sharing.server(keys, logger)
        // Never fetch without keys: anybody could answer.
        let fetcher =
            keys.isEncrypted
            ? cache.cache().map { ModelFetcher(endpoint, keys, $0, logger) } : nil
        guard let weights = try weights(options, fetcher, stop, logger) else { return }
        try weights.check(ModelNeeds(encoder: nil, texts: false))
        _ = try engine.onlyDevice()
        let networks = LoadedNetworks(
            weights,
            identity: try ModelIdentity(of: weights),
            options: engine.options(threads: threads ?? HostCores.count),
            batch: engine.batch
        )
        let start = ContinuousClock.now
        try networks.load().report(after: ContinuousClock.now - start, to: logger)
        if standing {
            options.changes = try changes(weights, fetcher, isAuthenticated: keys.isEncrypted)
        }
        let worker = try WorkerProcess(
            Evaluator(networks),
            options: options,
            logger: logger
        )
        stop.install()
        stop.watch(worker)
        try worker.run()
    }
}

extension Work {
    /// How this worker may change if the coordinator refuses it.
    private func changes(
        _ weights: Model,
        _ fetcher: ModelFetcher?,
        isAuthenticated: Bool
    ) throws(InputError) -> ModelFileChanges {
        let (own, count) = ((engine.backend, engine.precision), threads ?? HostCores.count)
        let (device, torch) = (try engine.onlyDevice(), engine.torch)
        return ModelFileChanges(
            path: weights.path,
            options: weights.options,
            isAuthenticated: isAuthenticated,
            fetcher: fetcher
        ) { backend, precision in
            EngineOptions.best(
                for: .current,
                backend: backend ?? own.0,
                precision: precision ?? own.1,
                device: backend == nil || backend == .torch ? device : nil,
                torch: torch,
                threads: count
            ).options
        }
    }
}

extension WeightCache.Origin {
    /// Logs where the weights came from, and why they are not shared where they should be.
    fileprivate func report(after time: Duration, to logger: Logger) {
        let seconds = String(format: "%.1f", time / .seconds(1))
        switch self {
        case .own(nil): logger.info("weights prepared in \(seconds) s")
        case .own(let reason?):
            logger.warning("weights prepared in \(seconds) s and not shared: \(reason)")
        case .built: logger.info("weights prepared in \(seconds) s and kept for the next start")
        case .mapped: logger.info("weights mapped in \(seconds) s")
        }
    }
}
