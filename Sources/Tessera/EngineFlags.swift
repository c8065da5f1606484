import ArgumentParser
import Coordinator
import Engine
import Foundation

/// Flags for how the networks are computed.
struct EngineFlags: ParsableArguments {
    @Option(help: "Numerical backend. (default: the best for the processor, see tessera doctor)")
    var backend: BackendKind?

    @Option(
        help:
            "Precision of the arithmetic. (default: the best for the processor; f32 with --inputs)"
    )
    var precision: Precision?

    /// The same flags for recorded inputs, whose results are compared with a reference: float32 unless a precision was
    /// given.
    func comparing(_ inputs: String?) -> EngineFlags {
        var flags = self
        if inputs != nil { flags.precision = precision ?? .f32 }
        return flags
    }

    func options(threads: Int) -> EngineOptions {
        EngineOptions.best(
            for: .current,
            backend: backend,
            precision: precision,
            threads: threads
        ).options
    }

    /// How prompts are encoded: always in float32, because it is done only once.
    private var conditioning: EngineOptions {
        EngineOptions.best(for: .current, backend: backend, precision: .f32, threads: 1).options
    }

    /// How the coordinator itself computes, on all cores.
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
