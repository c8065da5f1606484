import ArgumentParser
import Coordinator
import Engine
import Foundation

/// Flags that say how the networks are computed.
struct EngineFlags: ParsableArguments {
    @Option(help: "Numerical backend (default: what suits the processor, see tessera doctor).")
    var backend: BackendKind?

    @Option(help: "Precision of the arithmetic (default: likewise; f32 with --inputs).")
    var precision: Precision?

    /// The same flags for recorded inputs, which are there to be compared with a reference: in float32,
    /// unless a precision was asked for.
    func comparing(_ inputs: String?) -> EngineFlags {
        var flags = self
        if inputs != nil { flags.precision = precision ?? .f32 }
        return flags
    }

    func options(threads: Int) -> EngineOptions {
        EngineOptions.suited(
            to: .current,
            backend: backend,
            precision: precision,
            threads: threads
        ).options
    }

    /// How prompts are encoded: in float32 whatever the workers do, for it is done once.
    private var conditioning: EngineOptions {
        EngineOptions.suited(to: .current, backend: backend, precision: .f32, threads: 1).options
    }

    /// How the coordinator computes its own part, on all cores.
    var computation: Rendering.Computation {
        Rendering.Computation(
            conditioning: conditioning,
            globalPass: options(threads: HostCores.count)
        )
    }

    /// The same flags for another command line.
    var arguments: [String] {
        (backend.map { ["--backend", $0.rawValue] } ?? [])
            + (precision.map { ["--precision", $0.rawValue] } ?? [])
    }
}

/// The processors that this process may use.
enum HostCores {
    static var count: Int { ProcessInfo.processInfo.activeProcessorCount }
}
