/// The library that computes. The raw values are those of `--backend`.
package enum BackendKind: String, CaseIterable, Sendable {
    /// Plain float32 arithmetic on OpenBLAS; runs on any processor and serves as a reference for the others.
    case openblas
    case onednn
}

/// How numbers are stored in the networks. The raw values are those of `--precision`.
package enum Precision: String, CaseIterable, Sendable {
    case f32
    case bf16
}

/// How a network is computed.
package struct EngineOptions: Sendable, Equatable {
    package let backend: BackendKind
    package let precision: Precision
    /// Threads that share one evaluation. The result does not depend on their number.
    package let threads: Int
    /// How bfloat16 numbers are multiplied.
    package let multiplication: Multiplication

    package init(
        backend: BackendKind = .openblas,
        precision: Precision = .f32,
        threads: Int = 1,
        multiplication: Multiplication = Processor.current.multiplication
    ) {
        precondition(threads > 0, "\(threads) threads")
        self.backend = backend
        self.precision = precision
        self.threads = threads
        self.multiplication = multiplication
    }

    /// Rejects combinations that this build cannot compute.
    ///
    /// - Throws: `InputError` naming the flag
    package func check() throws(InputError) {
        guard (backend, precision) != (.openblas, .bf16) else {
            throw InputError(
                "--precision bf16",
                "the openblas backend computes in float32 only",
                fix: "Use --precision f32 or --backend onednn"
            )
        }
        guard precision == .f32 || Processor.current.hasAVX512 else {
            throw InputError(
                "--precision bf16",
                "this processor has no AVX-512",
                fix: "Use --precision f32"
            )
        }
    }

    /// The backend that these options select, with the weights of its layers in `weights`.
    ///
    /// - Throws: `InputError` for a combination that this build cannot compute
    package func makeBackend(
        weights: any WeightMemory = OwnWeights()
    ) throws(InputError) -> any Backend {
        try check()
        return switch backend {
        case .openblas: OpenBLASBackend(threads: threads, weights: weights)
        case .onednn:
            OneDNNBackend(
                element: precision == .f32 ? .float32 : .bfloat16,
                multiplication,
                threads: threads,
                weights: weights
            )
        }
    }
}
