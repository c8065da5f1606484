import ArgumentParser
import Coordinator
import Engine
import Foundation
import Protocol

/// Flags that say where results go.
struct OutputFlags: ParsableArguments {
    @Option(help: "The picture, a PNG.")
    var output = "out.png"

    @Option(help: ArgumentHelp("Folder for each phase's picture, as it ends.", valueName: "dir"))
    var savePhases: String?

    @Option(
        help: ArgumentHelp(
            "Random numbers to use instead of the seed's (safetensors).",
            valueName: "file"
        )
    )
    var inputs: String?

    @Option(
        help: ArgumentHelp(
            "Write latents of all phases and the picture (safetensors).",
            valueName: "file"
        )
    )
    var dump: String?

    var places: RenderSession.Outputs {
        RenderSession.Outputs(picture: output, phases: savePhases, inputs: inputs, dump: dump)
    }
}

/// Flags that say which workers this host runs by itself.
struct LocalFlags: ParsableArguments {
    @Option(help: "Worker processes to start on this host. (default: 2, or 1 on one core)")
    var workers: Int?

    @Option(help: "Threads of each. (default: the cores, shared out evenly)")
    var threadsPerWorker: Int?

    @Option(help: ArgumentHelp("Take workers from a file of hosts.", valueName: "cluster.yaml"))
    var cluster: String?

    mutating func validate() throws {
        if let workers, !(1...256).contains(workers) {
            throw ValidationError("--workers must be from 1 to 256.")
        }
        if let threadsPerWorker, !(1...1024).contains(threadsPerWorker) {
            throw ValidationError("--threads-per-worker must be from 1 to 1024.")
        }
    }

    /// Workers to start, threads of each, and the model that the file of hosts names.
    struct Launch {
        let workers: Int
        let threads: Int?
        let model: String?
        let endpoint: Endpoint?
    }

    /// Flags go before the file of hosts.
    ///
    /// - Throws: `InputError` when the file is faulty or names other hosts than this one
    func launch() throws(InputError) -> Launch {
        guard let cluster else {
            let count = workers ?? min(2, HostCores.count)
            return Launch(workers: count, threads: threadsPerWorker, model: nil, endpoint: nil)
        }
        let file = try ClusterFile(file: cluster)
        let host = try file.onlyHost(place: cluster)
        return Launch(
            workers: workers ?? host.workers,
            threads: threadsPerWorker ?? host.threads,
            model: file.model.map {
                URL(fileURLWithPath: $0, relativeTo: URL(fileURLWithPath: cluster)).path
            },
            endpoint: try file.endpoint.map { text throws(InputError) in try Endpoint(text) }
        )
    }
}
