import ArgumentParser
import Coordinator
import Engine
import Protocol

/// `tessera doctor`: what this machine supports, and what a render would use.
struct Doctor: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Shows what this machine supports, what a render would use, and why."
    )

    @OptionGroup var engine: EngineFlags

    @Flag(help: "Print one line of JSON.")
    var json = false

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
