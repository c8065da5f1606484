import ArgumentParser
import Coordinator
import Engine
import Fleet
import Foundation
import Logging
import Protocol

/// `tessera cluster`: workers that keep running between renders.
struct ClusterCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "cluster",
        abstract:
            "Starts, shows, tests and stops the workers of a cluster file, and invites machines (docs/cluster.md).",
        subcommands: [
            Up.self, Status.self, Top.self, Test.self, Down.self, Invite.self, Members.self,
            Remove.self, Find.self,
        ]
    )

    /// `tessera cluster up`
    struct Up: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Starts workers on all hosts; they keep running and join every later render."
        )

        @OptionGroup var file: HostsFlags
        @OptionGroup var hosts: HostChoice
        @OptionGroup var model: ModelFlags
        @OptionGroup var engine: EngineFlags

        func run() throws {
            try ExitStatus.reporting {
                let read = try ClusterFile(file: file.cluster).only(hosts.only)
                let path = try ModelLocation.resolve(
                    model.model ?? read.model.map { ClusterFile.resolve($0, in: file.cluster) }
                )
                let found = try Model(path: path, options: try model.options())
                let control = try ClusterControl(
                    LaunchPlan(
                        read,
                        path: file.cluster,
                        try .init(model: found.path, flags: model, engine: engine)
                    )
                ) { StandardError.write($0) }
                let (table, failure) = try control.up(
                    try ModelIdentity(of: found),
                    least: hosts.minWorkers ?? read.minWorkers,
                    logger: Logger(label: "tessera") { _ in StandardErrorLog(level: .warning) }
                )
                try StandardOutput.write(lines: table.lines)
                if let failure { throw failure }
            }
        }
    }

    /// `tessera cluster status`
    struct Status: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Shows which workers are running, and what the coordinator knows about them.",
            discussion: "The exit status is 69 if any host that was started is not complete."
        )

        @OptionGroup var file: HostsFlags

        @Flag(help: "Print one line of JSON.")
        var json = false

        func run() throws {
            try ExitStatus.reporting {
                let table = try file.control().status()
                if json {
                    try StandardOutput.write(json: table)
                } else {
                    try StandardOutput.write(lines: table.lines)
                }
                if let problem = table.problem(file: file.cluster) { throw problem }
            }
        }
    }

    /// `tessera cluster down`
    struct Down: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Stops the workers that tessera cluster up started, and nothing else."
        )

        @OptionGroup var file: HostsFlags

        func run() throws {
            try ExitStatus.reporting { try StandardOutput.write(lines: try file.control().down()) }
        }
    }
}

/// The flag that names the cluster file.
struct HostsFlags: ParsableArguments {
    @Option(
        help: ArgumentHelp("The cluster file.", valueName: "cluster.yaml"),
        completion: .file(extensions: ["yaml", "yml"])
    )
    var cluster = "cluster.yaml"

    /// - Throws: `InputError` if the file is invalid
    func control() throws -> ClusterControl {
        let read = try ClusterFile(file: cluster)
        let model = read.model.map { ClusterFile.resolve($0, in: cluster) } ?? "the bundled one"
        return try ClusterControl(
            LaunchPlan(
                read,
                path: cluster,
                .init(version: RenderSession.version, model: model)
            )
        ) { StandardError.write($0) }
    }
}

/// Selects hosts and the minimum number of workers.
struct HostChoice: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Use only the hosts with this name or label; may be repeated.",
            valueName: "name"
        )
    )
    var only: [String] = []

    @Option(
        help: ArgumentHelp(
            "Minimum number of workers that must have joined. (default: the file's min-workers, else 1 "
                + "for a render and all for tessera cluster up)",
            valueName: "n"
        )
    )
    var minWorkers: Int?

    mutating func validate() throws {
        if let minWorkers, !(1...65_536).contains(minWorkers) {
            throw ValidationError("--min-workers must be from 1 to 65536.")
        }
    }
}

extension LaunchPlan.Common {
    /// - Parameters:
    ///   - model: the path of the coordinator's model
    ///   - flags: other model flags for workers
    ///   - engine: flags that override fields of the cluster file
    /// - Throws: `InputError` for a LoRA weight that is not a number
    init(model: String, flags: ModelFlags, engine: EngineFlags) throws(InputError) {
        self.init(
            version: RenderSession.version,
            model: URL(fileURLWithPath: model).standardizedFileURL.path
        )
        func absolute(_ path: String) -> String {
            URL(fileURLWithPath: path).standardizedFileURL.path
        }
        let options = try flags.options()
        loras = options.loras.map {
            LoRASource(path: absolute($0.path), weight: $0.weight, parts: $0.parts)
        }
        modelConfig = options.config.map(absolute)
        parts = ModelParts(
            vae: options.vae.map(absolute),
            base: options.base.map(absolute),
            refiner: options.refiner.map {
                RefinerSource(path: absolute($0.path), start: $0.start).argument
            }
        )
        (backend, precision) = (engine.backend, engine.precision)
        (devices, torch, batch) = (try engine.devices() ?? [], engine.torch, engine.batch)
    }
}
