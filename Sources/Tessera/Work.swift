import ArgumentParser
import Coordinator
import Engine
import Logging
import Protocol
import Worker

/// `tessera worker`: predicts views for a coordinator.
struct Work: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "worker",
        abstract: "Connects to a coordinator and computes what it is given, until it is stopped."
    )

    @Option(help: ArgumentHelp("Where the coordinator listens.", valueName: "endpoint"))
    var connect: String

    @OptionGroup var model: ModelFlags

    @Option(help: "Threads that share one evaluation. (default: all cores)")
    var threads: Int?

    @Option(help: "How people call this worker. (default: host and process)")
    var name: String?

    @Flag(help: .hidden)
    var localChild = false

    @OptionGroup var engine: EngineFlags

    mutating func validate() throws {
        if let threads, !(1...1024).contains(threads) {
            throw ValidationError("--threads must be from 1 to 1024.")
        }
    }

    func run() throws {
        try ExitStatus.reporting {
            let endpoint = try Endpoint(connect)
            // First of all: whoever started this process may already be gone.
            if localChild { Lifeline.watchStandardInput(endpoint: endpoint) }
            let logger = Logger(label: "worker") { _ in
                StandardErrorLog(level: localChild ? .warning : .info)
            }
            let host = try EngineModelHost(
                model: try Model(
                    path: try ModelLocation.resolve(model.model),
                    options: try model.options()
                ),
                options: engine.options(threads: threads ?? HostCores.count)
            )
            var options = WorkerProcess.Options(endpoint: endpoint, name: name)
            options.isLocalChild = localChild
            let worker = try WorkerProcess(host: host, options: options, logger: logger)
            Interrupts.handle { worker.stop() }
            try worker.run()
        }
    }
}
