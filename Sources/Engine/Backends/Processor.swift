import CKernels
import COneDNN
import Foundation

/// What the choice of a backend depends on.
package struct Processor: Sendable {
    /// The AVX-512 instructions that oneDNN is made for.
    package let hasAVX512: Bool
    /// Products of bfloat16 numbers.
    package let hasBFloat16: Bool
    /// How they are computed fastest.
    package let multiplication: Multiplication

    package init(hasAVX512: Bool, hasBFloat16: Bool, _ multiplication: Multiplication = .stored) {
        self.hasAVX512 = hasAVX512
        self.hasBFloat16 = hasBFloat16
        self.multiplication = multiplication
    }

    /// The one that this process runs on.
    package static let current = Processor(
        hasAVX512: tessera_has_avx512() != 0,
        hasBFloat16: tessera_has_bfloat16() != 0 || emulatesBFloat16,
        emulatesBFloat16 || hasFastPairs ? .stored : .widened
    )

    /// Whether pairs of bfloat16 numbers are multiplied faster than float32 ones: by AMX tiles, or by
    /// another maker's AVX-512 units than Intel's, which need two cycles for each.
    private static var hasFastPairs: Bool {
        guard tessera_has_bfloat16() != 0 else { return false }
        return tessera_is_intel() == 0
            || String(cString: tessera_dnnl_instructions()).hasSuffix("amx")
    }

    /// Whether products of bfloat16 numbers shall be computed on a processor that has none, by oneDNN's
    /// emulation: slow, but what tests need there. Set by `TESSERA_EMULATE_BF16=1`.
    private static var emulatesBFloat16: Bool {
        tessera_has_avx512() != 0
            && ProcessInfo.processInfo.environment["TESSERA_EMULATE_BF16"] == "1"
    }

    /// The version of oneDNN that is loaded, and the instructions that it uses here.
    package static var oneDNN: (version: String, instructions: String) {
        (
            String(cString: tessera_dnnl_version()), String(cString: tessera_dnnl_instructions())
        )
    }
}

extension EngineOptions {
    /// The fastest way that a processor offers, within what the user asked for; `why` says what decided.
    package static func suited(
        to processor: Processor,
        backend: BackendKind? = nil,
        precision: Precision? = nil,
        threads: Int
    ) -> (options: EngineOptions, why: String) {
        let chosen = backend ?? (processor.hasAVX512 || precision == .bf16 ? .onednn : .openblas)
        let stored = precision ?? (chosen == .onednn && processor.hasBFloat16 ? .bf16 : .f32)
        let reasons = [
            backend != nil
                ? "the backend was asked for"
                : processor.hasAVX512
                    ? "this processor has AVX-512"
                    : chosen == .onednn
                        ? "only oneDNN computes in bf16" : "this processor has no AVX-512",
            precision != nil
                ? "the precision was asked for"
                : chosen == .openblas
                    ? "openblas computes in f32"
                    : processor.hasBFloat16
                        ? "it multiplies bfloat16" : "it does not multiply bfloat16",
        ]
        return (
            EngineOptions(backend: chosen, precision: stored, threads: threads),
            reasons.joined(separator: "; ")
        )
    }
}
