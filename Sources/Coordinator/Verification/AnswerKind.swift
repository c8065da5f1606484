import Engine
import Protocol

/// What an answer was computed with, as the worker announced it.
package struct AnswerKind: Hashable, Sendable {
    /// Model and vector features of the processor, or the name of the device.
    package let processor: String
    package let backend: String
    package let precision: String
    /// The version of Tessera; empty for another program.
    package let program: String

    package init(processor: String, backend: String, precision: String, program: String) {
        (self.processor, self.backend) = (processor, backend)
        (self.precision, self.program) = (precision, program)
    }

    /// What this process computes with.
    init(_ networks: any ModelNetworks) {
        self.init(
            processor: networks.device ?? Processor.description,
            backend: networks.backend,
            precision: networks.precision,
            program: tesseraVersion
        )
    }

    /// Whether answers of both kinds have the same bytes. PyTorch's depend on its version, the number of threads and
    /// the batch sizes, none of which is announced.
    func computesSameBytes(as other: AnswerKind) -> Bool {
        self == other && backend != BackendKind.torch.rawValue
    }

    private var isSingle: Bool { precision == "f32" }

    /// How far answers of both kinds may differ, as measured by `AnswerDistance`, if guidance does not amplify
    /// differences. Networks agree between backends to within 2·10⁻⁴ in float32 and 2·10⁻² in bfloat16, the tolerances
    /// of the parity tests; this is three times as much.
    func tolerance(beside other: AnswerKind) -> Double {
        isSingle && other.isSingle ? 6e-4 : 6e-2
    }
}
