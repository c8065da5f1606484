/// The library that does the arithmetic. The raw values are those of `--backend`.
package enum BackendKind: String, CaseIterable, Sendable {
    /// Plain float32 arithmetic on OpenBLAS; runs on any processor and serves as a reference for the other backends.
    case openblas
    case onednn
    /// An installed PyTorch, on the processor or on a GPU.
    case torch

    /// Backends that are built into this program.
    package static let builtIn: [BackendKind] = [.openblas, .onednn]
}

/// How numbers are stored in the networks. The raw values are those of `--precision`.
package enum Precision: String, CaseIterable, Sendable {
    case f32
    case bf16
    case f16
}

/// How a network is computed.
package struct EngineOptions: Sendable, Equatable {
    package let backend: BackendKind
    package let precision: Precision
    /// Threads that share one evaluation. The result does not depend on their number.
    package let threads: Int
    /// How bfloat16 values are multiplied.
    package let multiplication: Multiplication
    /// The device that PyTorch computes on; the processor for the other backends.
    package let device: DeviceName
    /// Path to PyTorch; nil searches for it.
    package let torch: String?

    package init(
        backend: BackendKind = .openblas,
        precision: Precision = .f32,
        threads: Int = 1,
        multiplication: Multiplication = Processor.current.multiplication,
        device: DeviceName = .processor,
        torch: String? = nil
    ) {
        precondition(threads > 0, "\(threads) threads")
        self.backend = backend
        self.precision = precision
        self.threads = threads
        self.multiplication = multiplication
        (self.device, self.torch) = (device, torch)
    }

    /// The same options with another precision.
    package func with(_ precision: Precision) -> EngineOptions {
        EngineOptions(
            backend: backend,
            precision: precision,
            threads: threads,
            multiplication: multiplication,
            device: device,
            torch: torch
        )
    }

    /// Options for half of the autoencoder. With bfloat16, PyTorch's encoder runs in float32: in bfloat16 its error
    /// exceeds 2 % of the latents' standard deviation, and every later step inherits it.
    package func computing(_ half: AutoencoderHalf) -> EngineOptions {
        (backend, precision, half) == (.torch, .bf16, .encoder) ? with(.f32) : self
    }

    /// A combination of options that no processor supports; nil if there is none.
    package var contradiction: InputError? {
        guard backend != .torch else { return nil }
        let name = backend.rawValue
        if device != .processor {
            return InputError(
                "--device \(device)",
                "the \(name) backend computes on the processor only",
                fix: "Use --backend torch, or --device cpu"
            )
        }
        if precision == .f16 {
            return InputError(
                "--precision f16",
                "the \(name) backend does not support float16",
                fix: backend == .openblas
                    ? "Use --precision f32 or --backend torch"
                    : "Use --precision bf16 or --backend torch"
            )
        }
        if (backend, precision) == (.openblas, .bf16) {
            return InputError(
                "--precision bf16",
                "the openblas backend computes in float32 only",
                fix: "Use --precision f32 or --backend onednn"
            )
        }
        return torch.map { torch in
            InputError(
                "--torch \(torch)",
                "the \(name) backend does not use PyTorch",
                fix: "Leave out --torch, or use --backend torch"
            )
        }
    }

    /// Rejects combinations that this machine cannot compute.
    ///
    /// - Throws: `InputError` naming the flag
    package func check() throws(InputError) {
        if let contradiction { throw contradiction }
        guard backend == .torch || precision == .f32 || Processor.current.hasAVX512 else {
            throw InputError(
                "--precision bf16",
                "this processor has no AVX-512",
                fix: "Use --precision f32"
            )
        }
    }

    /// Makes the backend that these options select; its layers' weights are stored in `weights`.
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
        case .torch:
            try TorchBackend(
                device: device,
                precision: precision,
                threads: threads,
                torch: torch
            )
        }
    }
}
