import Coordinator
import Engine
import FakeModel
import Protocol
import Testing
import Worker

/// Workers with the tiny model that claim to be different hosts, in threads of this process.
final class LyingHosts {
    /// A host's name, and when it lies.
    typealias Manner = (name: String, LyingNetworks.Manner)

    let cluster: Cluster
    private(set) var liars: [String: LyingNetworks] = [:]
    private let model: Model
    private let identity: ModelIdentity
    private var running: [(name: String, worker: WorkerProcess, thread: NamedThread)] = []

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
        try add(host.name) { networks in
            let liar = LyingNetworks(networks, host.1)
            liars[host.name] = liar
            return liar
        }
    }

    /// Starts another host, with networks that a test makes from the model's.
    func add(_ name: String, _ make: (LoadedNetworks) -> any ModelNetworks) throws {
        let networks = make(LoadedNetworks(model, identity: identity, options: EngineOptions()))
        var options = WorkerProcess.Options(endpoint: cluster.endpoint, name: name)
        options.ownsProcess = false
        let worker = try WorkerProcess(Evaluator(networks), options: options, logger: quiet)
        running.append((name, worker, NamedThread("worker") { try? worker.run() }))
    }

    /// Stops one host, which leaves with its unfinished units.
    func stop(_ name: String) {
        for host in running where host.name == name { host.worker.stop() }
    }

    func stop() {
        for host in running { host.worker.stop() }
        for host in running { host.thread.join() }
        cluster.stop()
    }
}
