import ArgumentParser
import Coordinator
import Engine
import Foundation
import Logging
import Protocol
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

    @OptionGroup var engine: EngineFlags
    @OptionGroup var security: WorkerSecurityFlags

    mutating func validate() throws {
        if let threads, !(1...1024).contains(threads) {
            throw ValidationError("--threads must be from 1 to 1024.")
        }
    }

    func run() throws {
        try ExitStatus.reporting {
            let endpoint = try Endpoint(connect, reach: security.reach)
            let keys = try security.security()
            // Before anything else: the parent process may already be gone.
            if endWithCoordinator { Lifeline.watchStandardInput(endpoint: endpoint) }
            let logger = Logger(label: "worker") { _ in
                StandardErrorLog(level: endWithCoordinator ? .warning : .info)
            }
            let loss = DeviceLoss()
            try loss.surviving(logger) { try work(endpoint, keys, logger) }
        }
    }

    private func work(_ endpoint: Endpoint, _ keys: Security, _ logger: Logger) throws {
        let start = ContinuousClock.now
        let path = try ModelLocation.resolve(model.model)
        let weights = try Model(path: path, options: try model.options())
        try weights.check(ModelNeeds(encoder: nil, texts: false))
        _ = try engine.onlyDevice()
        let networks = LoadedNetworks(
            weights,
            identity: try ModelIdentity(of: weights),
            options: engine.options(threads: threads ?? HostCores.count),
            batch: engine.batch
        )
        try networks.load().report(after: ContinuousClock.now - start, to: logger)
        var options = WorkerProcess.Options(endpoint: endpoint, name: name)
        options.isLocalChild = endWithCoordinator
        options.security = keys
        if standing { options.changes = try changes(path, isAuthenticated: keys.isEncrypted) }
        let worker = try WorkerProcess(
            Evaluator(networks),
            options: options,
            logger: logger
        )
        Interrupts.handle { worker.stop() }
        try worker.run()
    }
}

extension Work {
    /// What it can change to if it is refused.
    private func changes(
        _ path: String,
        isAuthenticated: Bool
    ) throws(InputError) -> ModelFileChanges {
        let (own, count) = ((engine.backend, engine.precision), threads ?? HostCores.count)
        let (device, torch) = (try engine.onlyDevice(), engine.torch)
        return ModelFileChanges(
            path: path,
            options: try model.options(),
            isAuthenticated: isAuthenticated
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
    /// Logs where the weights came from, and why they are not shared if they should be.
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
