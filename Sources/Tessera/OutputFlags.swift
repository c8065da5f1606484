import ArgumentParser
import Coordinator
import Engine
import Foundation
import Protocol

/// Flags for output files.
struct OutputFlags: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "The picture: .png, .jpg, .webp or .tif (a tiled pyramidal BigTIFF), or - for standard output. An "
                + "existing file is replaced when the picture is done. {seed}, {prompt}, {index}, {date}, {time}, {model} "
                + "and names of settings are fields; then, and for several pictures, nothing is "
                + "replaced. (default: out.png, or the first of out-2.png, out-3.png … that is free)",
            valueName: "file"
        ),
        completion: .file(extensions: ["png", "jpg", "webp", "tif", "tiff"])
    )
    var output: String?

    @Option(
        help: ArgumentHelp(
            "Format of the picture. (default: that of its extension; of standard output, png)",
            valueName: "format"
        )
    )
    var format: PictureFormat?

    @Option(
        help: ArgumentHelp(
            "Quality of a JPEG or WebP, 1 to 100; from 90 on a JPEG keeps the full resolution of colours. (default: "
                + "\(PictureFormat.defaultQuality))",
            valueName: "n"
        )
    )
    var quality: Int?

    @Option(
        help: ArgumentHelp("Bits per channel in pictures, 8 or 16.", valueName: "bits"),
        completion: .list(["8", "16"])
    )
    var bitDepth = 8

    @Option(
        help: ArgumentHelp("Folder in which to save a picture of each phase.", valueName: "dir"),
        completion: .directory
    )
    var savePhases: String?

    @Option(
        help: ArgumentHelp(
            "File of random numbers to use instead of those from the seed (safetensors).",
            valueName: "file"
        ),
        completion: .file(extensions: ["safetensors"])
    )
    var inputs: String?

    @Option(
        help: ArgumentHelp(
            "File for the latents of all phases and the picture (safetensors).",
            valueName: "file"
        ),
        completion: .file(extensions: ["safetensors"])
    )
    var dump: String?

    mutating func validate() throws {
        guard PixelDepth(rawValue: bitDepth) != nil else {
            throw ValidationError("--bit-depth must be 8 or 16.")
        }
        guard quality.map({ (1...100).contains($0) }) ?? true else {
            throw ValidationError("--quality must be from 1 to 100.")
        }
    }

    /// Rejects flags whose output file would be overwritten by every picture of a series.
    ///
    /// - Throws: `InputError` naming the flag
    func checkSeries() throws(InputError) {
        for (flag, value) in [
            ("--dump", dump), ("--save-phases", savePhases), ("--inputs", inputs),
        ] where value != nil {
            throw InputError(flag, "it is for one picture", fix: "Render one at a time with it")
        }
        guard output != PictureFormat.standardOutput else {
            throw InputError(
                "--output -",
                "standard output takes one picture",
                fix: "Render one at a time, or name files"
            )
        }
    }

    /// The format of the picture; nil if its name implies none, which is reported later.
    var resolvedFormat: PictureFormat? {
        let places = places
        return try? PictureFormat(path: places.picture, flag: "--output", given: places.format)
    }

    var places: RenderSession.Outputs {
        RenderSession.Outputs(
            picture: output ?? "out.\((format ?? .png).fileExtension)",
            isNumbered: output == nil,
            depth: PixelDepth(rawValue: bitDepth) ?? .eight,
            format: format,
            quality: quality,
            phases: savePhases,
            inputs: inputs,
            dump: dump
        )
    }
}

/// Flags for messages during a render.
struct DisplayFlags: ParsableArguments {
    @Flag(help: "Print no progress, only warnings and errors.")
    var quiet = false

    @Flag(
        help:
            "Print one line of JSON about the result to standard output, instead of the picture's path."
    )
    var json = false

    /// The same flags, to pass on to another command.
    var arguments: [String] { (quiet ? ["--quiet"] : []) + (json ? ["--json"] : []) }

    /// Prints a progress message, unless --quiet was given.
    func note(_ line: String) {
        if !quiet { StandardError.write(line) }
    }
}

/// Flags for the workers that this command starts.
struct LocalFlags: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Worker processes to start on this host, or on each host of --cluster. (default: 2, or 1 on "
                + "a single core; with --cluster, the file's)"
        )
    )
    var workers: Int?

    @Option(help: "Threads per worker. (default: the cores, divided evenly)")
    var threadsPerWorker: Int?

    @Option(
        help: ArgumentHelp("Use the workers of a cluster file.", valueName: "cluster.yaml"),
        completion: .file(extensions: ["yaml", "yml"])
    )
    var cluster: String?

    @OptionGroup var hosts: HostChoice

    @Flag(help: "If another render uses the endpoint of --cluster, wait until it is done.")
    var wait = false

    mutating func validate() throws {
        if let workers, !(1...256).contains(workers) {
            throw ValidationError("--workers must be from 1 to 256.")
        }
        if let threadsPerWorker, !(1...1024).contains(threadsPerWorker) {
            throw ValidationError("--threads-per-worker must be from 1 to 1024.")
        }
    }

    /// Rejects flags about hosts without a cluster file. Not checked while parsing, because `resume` accepts some of
    /// these flags.
    ///
    /// - Throws: `InputError`
    func checkHosts() throws(InputError) {
        guard cluster != nil || (hosts.only.isEmpty && hosts.minWorkers == nil) else {
            throw InputError(
                hosts.only.isEmpty ? "--min-workers" : "--only",
                "it needs a cluster file",
                fix: "Give --cluster"
            )
        }
        guard cluster != nil || !wait else {
            throw InputError("--wait", "there is no file of hosts", fix: "Give --cluster")
        }
    }

    /// The same flags, to pass on to another command that may run in any folder.
    var arguments: [String] {
        (workers.map { ["--workers", "\($0)"] } ?? [])
            + (threadsPerWorker.map { ["--threads-per-worker", "\($0)"] } ?? [])
            + (cluster.map { ["--cluster", URL(fileURLWithPath: $0).standardizedFileURL.path] }
                ?? [])
            + hosts.only.map { "--only=\($0)" }
            + (hosts.minWorkers.map { ["--min-workers", "\($0)"] } ?? [])
            + (wait ? ["--wait"] : [])
    }
}
