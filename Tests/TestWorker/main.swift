// A worker process with a fake model, for tests that kill processes. With --coordinate N it is a
// coordinator with N such workers instead, which renders until it is killed; with --hostile MANNER it speaks
// the protocol and breaks its rules; with --lie MANNER and --model FOLDER it has that model, and its answers are
// sometimes wrong.

import Coordinator
import Engine
import FakeModel
import Fleet
import Foundation
import Logging
import Protocol
import Sampling
import Worker

func option(_ name: String) -> String? {
    let arguments = CommandLine.arguments
    guard let place = arguments.firstIndex(of: "--\(name)"), place + 1 < arguments.count else {
        return nil
    }
    return arguments[place + 1]
}

/// Prints its socket's path and the ids of its workers, then renders until it is killed.
func coordinate(workers: Int) throws {
    let quiet = Logger(label: "coordinator") { _ in SwiftLogNoOpLogHandler() }
    let cluster = try LocalCluster(
        workers: workers,
        threads: 1,
        model: ModelIdentity(digest: FakeNetworks.digest, path: "/models/here"),
        logger: quiet
    ) { endpoint, name, _ in
        let behaviour = option("behaviour") ?? "good"
        return [
            "--connect", endpoint.address, "--name", name, "--local-child",
            "--behaviour", behaviour,
        ]
    }
    let words = [cluster.cluster.endpoint.path ?? ""] + cluster.processes.map(String.init)
    print(words.joined(separator: " "))
    fflush(nil)
    let prompt = Embedding(context: Tensor([1], shape: [1, 1, 1]))
    let model = ModelGeometry(
        nativeLatentSide: 8,
        vaeFactor: 8,
        latentChannels: 4,
        usesTimeIDs: false
    )
    let job = cluster.cluster.open(model)
    let view = WorkUnit.view(
        0,
        Tensor(zeros: [1, 1, 1, 4]),
        timestep: 1,
        guidance: 1,
        prompts: Prompts(positive: prompt, negative: nil)
    )
    while true { _ = try job.evaluate([view]) { _ in } }
}

do {
    if let count = option("coordinate").flatMap({ Int($0) }) { try coordinate(workers: count) }
    let keys = try option("keys").map { keys in
        Security.worker(
            try KeyFile.pair(keys),
            coordinator: try KeyFile.publicKey(option("coordinator-key") ?? "")
        )
    }
    let endpoint = try Endpoint(
        option("connect") ?? "",
        reach: keys == nil ? .thisMachine : .network
    )
    let isLocalChild = CommandLine.arguments.contains("--local-child")
    if isLocalChild { Lifeline.watchStandardInput(endpoint: endpoint) }
    if let manner = option("hostile").flatMap(HostilePeer.Manner.init) {
        try HostilePeer(
            manner: manner,
            endpoint: endpoint,
            security: keys ?? .open,
            name: option("name") ?? "hostile-\(getpid())",
            digest: option("digest") ?? FakeNetworks.digest,
            shape: (option("shape") ?? "1,4,4,4").split(separator: ",").compactMap { Int($0) }
        ).run()
    }
    if let lie = option("lie") {
        // With the model's networks, and its own answers to some of what it is asked.
        guard let manner = LyingNetworks.Manner(lie) else {
            throw InputError("--lie", "'\(lie)' is unknown", fix: "Say when, as in every:10")
        }
        let model = try Model(path: option("model") ?? "")
        let identity = try ModelIdentity(of: model)
        let networks = LoadedNetworks(
            model,
            identity: identity,
            options: EngineOptions.best(for: .current, threads: 1).options
        )
        var options = WorkerProcess.Options(endpoint: endpoint, name: option("name") ?? "liar")
        if let keys { options.security = keys }
        let liar = Evaluator(LyingNetworks(networks, manner))
        try WorkerProcess(liar, options: options, logger: Logger(label: "worker")).run()
        exit(0)
    }
    let host = FakeNetworks(
        FakeNetworks.Behaviour(option("behaviour") ?? "good") ?? .good,
        digest: option("digest") ?? FakeNetworks.digest,
        threads: option("threads").flatMap { Int($0) } ?? 1
    )
    var options = WorkerProcess.Options(
        endpoint: endpoint,
        name: option("name") ?? "worker-\(getpid())"
    )
    options.isLocalChild = isLocalChild
    if let keys { options.security = keys }
    try WorkerProcess(Evaluator(host), options: options, logger: Logger(label: "worker")).run()
} catch {
    FileHandle.standardError.write(Data("tessera: \(error)\n".utf8))
    exit(error is InputError ? 64 : 70)
}
