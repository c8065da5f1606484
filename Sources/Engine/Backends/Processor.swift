import CKernels
import COneDNN
import Foundation

/// The processor features that the choice of a backend depends on.
package struct Processor: Sendable {
    /// AVX2 with FMA, the oldest instruction set on which oneDNN is faster than our own kernels and OpenBLAS.
    package let hasAVX2: Bool
    /// The AVX-512 instructions that oneDNN targets.
    package let hasAVX512: Bool
    /// Instructions that multiply bfloat16.
    package let hasBFloat16: Bool
    /// The fastest way to multiply bfloat16 on this processor.
    package let multiplication: Multiplication

    package init(
        hasAVX2: Bool,
        hasAVX512: Bool,
        hasBFloat16: Bool,
        _ multiplication: Multiplication = .stored
    ) {
        self.hasAVX2 = hasAVX2
        self.hasAVX512 = hasAVX512
        self.hasBFloat16 = hasBFloat16
        self.multiplication = multiplication
    }

    /// The processor that this process runs on.
    package static let current = Processor(
        hasAVX2: tessera_has_avx2() != 0,
        hasAVX512: tessera_has_avx512() != 0,
        hasBFloat16: tessera_has_bfloat16() != 0 || emulatesBFloat16,
        emulatesBFloat16 || hasFastPairs ? .stored : .widened
    )

    /// Whether bfloat16 products are faster than float32 ones: with AMX tiles, or with AVX-512 units from makers other
    /// than Intel. Intel's AVX-512 units need two cycles per instruction.
    private static var hasFastPairs: Bool {
        guard tessera_has_bfloat16() != 0 else { return false }
        return tessera_is_intel() == 0
            || String(cString: tessera_dnnl_instructions()).hasSuffix("amx")
    }

    /// Whether to multiply bfloat16 on a processor without bfloat16 instructions, with oneDNN's emulation. It is slow,
    /// but tests need it. Set by `TESSERA_EMULATE_BF16=1`.
    private static var emulatesBFloat16: Bool {
        tessera_has_avx512() != 0
            && ProcessInfo.processInfo.environment["TESSERA_EMULATE_BF16"] == "1"
    }

    /// The loaded version of oneDNN and the instruction set that it uses here.
    package static var oneDNN: (version: String, instructions: String) {
        (
            String(cString: tessera_dnnl_version()), String(cString: tessera_dnnl_instructions())
        )
    }
}

extension EngineOptions {
    /// The fastest options for a processor that satisfy the user's request; `why` gives the reasons.
    package static func best(
        for processor: Processor,
        backend: BackendKind? = nil,
        precision: Precision? = nil,
        device: DeviceName? = nil,
        torch: String? = nil,
        threads: Int
    ) -> (options: EngineOptions, why: String) {
        if backend == .torch
            || (backend == nil && (precision == .f16 || device ?? .processor != .processor))
        {
            return onTorch(
                processor,
                precision,
                device ?? .processor,
                torch,
                threads,
                isRequested: backend != nil
            )
        }
        let chosen = backend ?? (processor.hasAVX2 || precision == .bf16 ? .onednn : .openblas)
        let stored = precision ?? (chosen == .onednn && processor.hasBFloat16 ? .bf16 : .f32)
        let reasons = [
            backend != nil
                ? "the backend was requested"
                : processor.hasAVX2
                    ? "this processor has \(processor.hasAVX512 ? "AVX-512" : "AVX2")"
                    : chosen == .onednn
                        ? "only oneDNN computes in bf16" : "this processor has no AVX2",
            precision != nil
                ? "the precision was requested"
                : chosen == .openblas
                    ? "openblas computes in f32"
                    : processor.hasBFloat16
                        ? "it multiplies bfloat16" : "it does not multiply bfloat16",
        ]
        return (
            EngineOptions(
                backend: chosen,
                precision: stored,
                threads: threads,
                device: device ?? .processor
            ),
            reasons.joined(separator: "; ")
        )
    }

    private static func onTorch(
        _ processor: Processor,
        _ precision: Precision?,
        _ device: DeviceName,
        _ torch: String?,
        _ threads: Int,
        isRequested: Bool
    ) -> (options: EngineOptions, why: String) {
        let own: Precision =
            switch device.kind {
            case .cpu: processor.hasBFloat16 ? .bf16 : .f32
            case .cuda, .xpu: .bf16
            case .mps: .f16
            }
        return (
            EngineOptions(
                backend: .torch,
                precision: precision ?? own,
                threads: threads,
                device: device,
                torch: torch
            ),
            (isRequested ? "the backend was requested" : "only PyTorch supports this")
                + (precision != nil
                    ? "; the precision was requested" : "; it suits \(device.kind.rawValue)")
        )
    }
}
