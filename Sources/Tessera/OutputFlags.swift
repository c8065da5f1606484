import ArgumentParser
import Coordinator
import Engine
import Foundation
import Protocol

/// Flags that say where results go.
struct OutputFlags: ParsableArguments {
    @Option(
        help: "The picture: a PNG, or by its ending (.tif) a tiled BigTIFF with smaller copies."
    )
    var output = "out.png"

    @Option(help: ArgumentHelp("Bits of each colour in pictures, 8 or 16.", valueName: "bits"))
    var bitDepth = 8

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

    mutating func validate() throws {
        guard PixelDepth(rawValue: bitDepth) != nil else {
            throw ValidationError("--bit-depth must be 8 or 16.")
        }
    }

    var places: RenderSession.Outputs {
        RenderSession.Outputs(
            picture: output,
            depth: PixelDepth(rawValue: bitDepth) ?? .eight,
            phases: savePhases,
            inputs: inputs,
            dump: dump
        )
    }
}

/// Flags that say which workers this host runs by itself.
struct LocalFlags: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Worker processes to start on this host, or on each of --cluster. (default: 2, or 1 on "
                + "one core; what the file says)"
        )
    )
    var workers: Int?

    @Option(help: "Threads of each. (default: the cores, shared out evenly)")
    var threadsPerWorker: Int?

    @Option(help: ArgumentHelp("Take workers from a file of hosts.", valueName: "cluster.yaml"))
    var cluster: String?

    @OptionGroup var hosts: HostChoice

    mutating func validate() throws {
        if let workers, !(1...256).contains(workers) {
            throw ValidationError("--workers must be from 1 to 256.")
        }
        if let threadsPerWorker, !(1...1024).contains(threadsPerWorker) {
            throw ValidationError("--threads-per-worker must be from 1 to 1024.")
        }
        guard cluster != nil || (hosts.only.isEmpty && hosts.minWorkers == nil) else {
            throw ValidationError("--only and --min-workers need --cluster.")
        }
    }
}
