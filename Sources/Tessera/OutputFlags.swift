import ArgumentParser
import Coordinator
import Engine
import Foundation
import Protocol

/// Flags that say where results go.
struct OutputFlags: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "The picture: a PNG, or by its ending (.tif) a tiled BigTIFF with smaller copies. A file that has "
                + "this name is replaced when the picture is done. (default: out.png, or the first of "
                + "out-2.png, out-3.png … that is free)",
            valueName: "file"
        ),
        completion: .file(extensions: ["png", "tif", "tiff"])
    )
    var output: String?

    @Option(help: ArgumentHelp("Bits of each colour in pictures, 8 or 16.", valueName: "bits"))
    var bitDepth = 8

    @Option(
        help: ArgumentHelp("Folder for each phase's picture, as it ends.", valueName: "dir"),
        completion: .directory
    )
    var savePhases: String?

    @Option(
        help: ArgumentHelp(
            "Random numbers to use instead of the seed's (safetensors).",
            valueName: "file"
        ),
        completion: .file(extensions: ["safetensors"])
    )
    var inputs: String?

    @Option(
        help: ArgumentHelp(
            "Write latents of all phases and the picture (safetensors).",
            valueName: "file"
        ),
        completion: .file(extensions: ["safetensors"])
    )
    var dump: String?

    mutating func validate() throws {
        guard PixelDepth(rawValue: bitDepth) != nil else {
            throw ValidationError("--bit-depth must be 8 or 16.")
        }
    }

    var places: RenderSession.Outputs {
        RenderSession.Outputs(
            picture: output ?? "out.png",
            isNumbered: output == nil,
            depth: PixelDepth(rawValue: bitDepth) ?? .eight,
            phases: savePhases,
            inputs: inputs,
            dump: dump
        )
    }
}

/// What a render says besides its picture.
struct DisplayFlags: ParsableArguments {
    @Flag(help: "Print no progress, only warnings and errors.")
    var quiet = false

    @Flag(
        help:
            "Print one line of JSON about the result to standard output, instead of the picture's path."
    )
    var json = false

    /// The same flags for another command line.
    var arguments: [String] { (quiet ? ["--quiet"] : []) + (json ? ["--json"] : []) }

    /// Prints a line for people who watch.
    func note(_ line: String) {
        if !quiet { StandardError.write(line) }
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

    @Option(
        help: ArgumentHelp("Take workers from a file of hosts.", valueName: "cluster.yaml"),
        completion: .file(extensions: ["yaml", "yml"])
    )
    var cluster: String?

    @OptionGroup var hosts: HostChoice

    mutating func validate() throws {
        if let workers, !(1...256).contains(workers) {
            throw ValidationError("--workers must be from 1 to 256.")
        }
        if let threadsPerWorker, !(1...1024).contains(threadsPerWorker) {
            throw ValidationError("--threads-per-worker must be from 1 to 1024.")
        }
    }

    /// Refuses flags about hosts where there are none. Not part of the parsing: `resume` is given some of the
    /// flags.
    ///
    /// - Throws: `InputError`
    func checkHosts() throws(InputError) {
        guard cluster != nil || (hosts.only.isEmpty && hosts.minWorkers == nil) else {
            throw InputError(
                hosts.only.isEmpty ? "--min-workers" : "--only",
                "there is no file of hosts",
                fix: "Give --cluster"
            )
        }
    }

    /// The same flags for another command line, called in any folder.
    var arguments: [String] {
        (workers.map { ["--workers", "\($0)"] } ?? [])
            + (threadsPerWorker.map { ["--threads-per-worker", "\($0)"] } ?? [])
            + (cluster.map { ["--cluster", URL(fileURLWithPath: $0).standardizedFileURL.path] }
                ?? [])
            + hosts.only.map { "--only=\($0)" }
            + (hosts.minWorkers.map { ["--min-workers", "\($0)"] } ?? [])
    }
}
