// A worker process with a fake model, for tests that kill processes.

import Engine
import FakeModel
import Foundation
import Logging
import Protocol
import Worker

func option(_ name: String) -> String? {
    let arguments = CommandLine.arguments
    guard let place = arguments.firstIndex(of: "--\(name)"), place + 1 < arguments.count else {
        return nil
    }
    return arguments[place + 1]
}

do {
    let endpoint = try Endpoint(option("connect") ?? "")
    let isLocalChild = CommandLine.arguments.contains("--local-child")
    if isLocalChild { Lifeline.watchStandardInput(endpoint: endpoint) }
    let host = FakeModelHost(
        FakeModelHost.Behaviour(option("behaviour") ?? "good") ?? .good,
        digest: option("digest") ?? FakeModelHost.digest,
        threads: option("threads").flatMap { Int($0) } ?? 1
    )
    var options = WorkerProcess.Options(
        endpoint: endpoint,
        name: option("name") ?? "worker-\(getpid())"
    )
    options.isLocalChild = isLocalChild
    try WorkerProcess(host: host, options: options, logger: Logger(label: "worker")).run()
} catch {
    FileHandle.standardError.write(Data("tessera: \(error)\n".utf8))
    exit(error is InputError ? 64 : 70)
}
