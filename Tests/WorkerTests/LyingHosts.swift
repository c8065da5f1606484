import Coordinator
import Engine
import FakeModel
import Protocol
import Testing
import Worker

/// Workers of the tiny model that call themselves different hosts, in threads of this process.
final class LyingHosts {
    /// A host's name, and when it lies.
    typealias Manner = (name: String, LyingNetworks.Manner)

    let cluster: Cluster
    private(set) var liars: [String: LyingNetworks] = [:]
    private let model: Model
    private let identity: ModelIdentity
    private var running: [(worker: WorkerProcess, thread: NamedThread)] = []

    init(_ path: String, _ manners: [Manner]) throws {
        model = try Model(path: path)
        identity = try ModelIdentity(of: model)
        cluster = try Cluster(
            Cluster.Configuration(endpoint: try Endpoint("tcp://127.0.0.1:0"), model: identity),
            logger: quiet
        )
        for manner in manners { try add(manner) }
        #expect(eventually { self.cluster.statistics.count(where: \.isActive) == manners.count })
    }

    /// Starts another host.
    func add(_ host: Manner) throws {
        let networks = LyingNetworks(
            LoadedNetworks(model, identity: identity, options: EngineOptions()),
            host.1
        )
        liars[host.name] = networks
        var options = WorkerProcess.Options(endpoint: cluster.endpoint, name: host.name)
        options.ownsProcess = false
        let worker = try WorkerProcess(Evaluator(networks), options: options, logger: quiet)
        running.append((worker, NamedThread("worker") { try? worker.run() }))
    }

    func stop() {
        for (worker, _) in running { worker.stop() }
        for (_, thread) in running { thread.join() }
        cluster.stop()
    }
}
