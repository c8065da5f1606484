import ArgumentParser
import Coordinator
import Engine
import Foundation
import Protocol

/// `tessera doctor`: what this machine supports, and what a render would use.
struct Doctor: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Shows what this machine supports, what a render would use, and why."
    )

    @OptionGroup var engine: EngineFlags

    @Flag(help: "Print one line of JSON.")
    var json = false

    /// What the system has, by its device files; this version does not use it.
    private static var graphicsProcessors: String {
        let devices = (try? FileManager.default.contentsOfDirectory(atPath: "/dev")) ?? []
        let nodes = (try? FileManager.default.contentsOfDirectory(atPath: "/dev/dri")) ?? []
        let found =
            devices.filter { $0.wholeMatch(of: /nvidia[0-9]+|kfd/) != nil }
            + nodes.filter { $0.hasPrefix("renderD") }.map { "dri/\($0)" }
        let names = found.sorted().map { "/dev/\($0)" }.joined(separator: ", ")
        return names.isEmpty
            ? "none found, and none is used yet"
            : "\(names): not used yet, pictures are rendered on processor cores"
    }

    func run() throws {
        try ExitStatus.reporting {
            let processor = Processor.current
            let chosen = EngineOptions.best(
                for: processor,
                backend: engine.backend,
                precision: engine.precision,
                threads: HostCores.count
            )
            try chosen.options.check()
            let found = [
                ("tessera", RenderSession.version),
                ("cores", "\(HostCores.count)"),
                ("AVX-512", processor.hasAVX512 ? "yes" : "no"),
                ("bfloat16 products", processor.hasBFloat16 ? "yes" : "no"),
                (
                    "bfloat16 computed",
                    processor.multiplication == .widened ? "as float32" : "in pairs"
                ),
                ("oneDNN", "\(Processor.oneDNN.version), uses \(Processor.oneDNN.instructions)"),
                ("ZeroMQ", SocketContext.libraryVersion),
                ("GPU", Self.graphicsProcessors),
                ("backend", chosen.options.backend.rawValue),
                ("precision", chosen.options.precision.rawValue),
                ("because", chosen.why),
            ]
            if json {
                // JSON keys in snake_case.
                let pairs = found.map {
                    ($0.0.lowercased().replacing(/[^a-z0-9]+/, with: "_"), $0.1)
                }
                return try StandardOutput.write(json: Dictionary(uniqueKeysWithValues: pairs))
            }
            try StandardOutput.write(lines: TextTable.lines(found.map { [$0.0, $0.1] }))
        }
    }
}
