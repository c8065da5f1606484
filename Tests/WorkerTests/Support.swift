import Coordinator
import Engine
import FakeModel
import Foundation
import Logging
import Protocol
import Sampling
import Synchronization
import Worker

/// How workers ended, by name.
private final class Endings: Sendable {
    let errors = Mutex<[String: String]>([:])
}

/// A cluster with fake workers in threads of this process.
final class ThreadCluster {
    let cluster: Cluster
    private let directory: PrivateDirectory
    private var workers: [WorkerProcess] = []
    private var names: [String] = []
    private var threads: [NamedThread] = []
    private let endings = Endings()

    init(
        logger: Logger = quiet,
        _ change: (inout Cluster.Configuration) -> Void = { _ in }
    ) throws {
        directory = try PrivateDirectory()
        var configuration = Cluster.Configuration(
            endpoint: directory.endpoint,
            model: ModelIdentity(digest: FakeNetworks.digest, path: "/models/here")
        )
        configuration.heartbeat = .milliseconds(50)
        configuration.policy.silence = .seconds(5)
        configuration.policy.grace = .seconds(10)
        change(&configuration)
        cluster = try Cluster(configuration, logger: logger)
    }

    @discardableResult
    func add(
        _ behaviour: FakeNetworks.Behaviour = .good,
        name: String? = nil,
        digest: String = FakeNetworks.digest,
        changes: (any NetworkChanges)? = nil,
        at endpoint: Endpoint? = nil
    ) throws -> FakeNetworks {
        let host = FakeNetworks(behaviour, digest: digest)
        let name = name ?? "thread-\(workers.count + 1)"
        var options = WorkerProcess.Options(endpoint: endpoint ?? cluster.endpoint, name: name)
        options.ownsProcess = false
        (options.changes, options.refusedPause) = (changes, .milliseconds(200))
        let worker = try WorkerProcess(Evaluator(host), options: options, logger: quiet)
        workers.append(worker)
        names.append(name)
        threads.append(
            NamedThread("worker") { [endings] in
                do {
                    try worker.run()
                } catch {
                    endings.errors.withLock { $0[name] = "\(error)" }
                }
            }
        )
        return host
    }

    /// Stops one worker.
    func stop(_ name: String) {
        for (worker, other) in zip(workers, names) where other == name { worker.stop() }
    }

    /// Stops all workers and the cluster.
    func stop() {
        for worker in workers { worker.stop() }
        for thread in threads { thread.join() }
        cluster.stop()
        directory.remove()
    }

    /// The error with which the worker ended, if any.
    func ending(of name: String) -> String? { endings.errors.withLock { $0[name] } }
}

let quiet = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

/// The fake model's description for coordinators.
let geometry = ModelGeometry(
    nativeLatentSide: 8,
    vaeFactor: FakeNetworks.vaeFactor,
    latentChannels: 4,
    usesTimeIDs: true,
    decoder: FakeNetworks.network(.decoder),
    encoder: FakeNetworks.network(.encoder)
)

/// Prompts whose embeddings are simple numbers.
func prompts(negative: Float? = 1) -> Prompts {
    func prompt(_ value: Float) -> Embedding {
        Embedding(
            context: Tensor([value, value], shape: [1, 1, 2]),
            pooled: Tensor([value], shape: [1, 1])
        )
    }
    return Prompts(positive: prompt(2), negative: negative.map(prompt))
}

/// Views that all differ.
func makeViews(_ count: Int, side: Int = 4, prompts: Prompts = prompts()) -> [WorkUnit] {
    (0..<count).map { i in
        .view(
            i,
            Tensor(
                (0..<(side * side * 4)).map { Float($0 + i * 1000) },
                shape: [1, side, side, 4]
            ),
            timestep: 500,
            guidance: 2,
            prompts: prompts,
            timeIDs: [0, 0, Float(i), 0, 0, 0]
        )
    }
}

/// The fake model's results for the views, computed here.
func expected(_ views: [WorkUnit]) throws -> [[Float]] {
    let evaluator = Evaluator(FakeNetworks())
    return try views.map { try evaluator.evaluate([$0])[0].tensor?.values ?? [] }
}

extension UnitRenderer {
    /// The tensors of units that all have one.
    func tensors(
        _ units: [WorkUnit],
        onDone: (Int) throws -> Void = { _ in }
    ) throws -> [Tensor] {
        try evaluate(units, onDone: onDone).map(\.wholeTensor)
    }
}

/// Waits until the condition holds, and returns whether it does.
func eventually(_ holds: () -> Bool, within seconds: Double = 10) -> Bool {
    let deadline = Date(timeIntervalSinceNow: seconds)
    while Date() < deadline {
        if holds() { return true }
        Thread.sleep(forTimeInterval: 0.01)
    }
    return holds()
}
