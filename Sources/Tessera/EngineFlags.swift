import ArgumentParser
import Engine
import Foundation

/// Flags that say how the networks are computed.
struct EngineFlags: ParsableArguments {
    @Option(help: "Numerical backend.")
    var backend = BackendKind.openblas

    @Option(help: "Precision of the arithmetic.")
    var precision = Precision.f32

    func options(threads: Int) -> EngineOptions {
        EngineOptions(backend: backend, precision: precision, threads: threads)
    }

    /// The same flags for a worker's command line.
    var arguments: [String] {
        ["--backend", backend.rawValue, "--precision", precision.rawValue]
    }
}

/// The processors that this process may use.
enum HostCores {
    static var count: Int { ProcessInfo.processInfo.activeProcessorCount }
}
