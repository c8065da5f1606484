import Engine
import Foundation

/// The backends that tests run on.
package enum TestedBackends {
    /// Whether PyTorch is tested: `$TESSERA_TORCH` names one, as `make test-torch` does.
    package static let hasTorch =
        !(ProcessInfo.processInfo.environment[TorchFinder.variable] ?? "").isEmpty

    /// Those of this program; or PyTorch alone, on the processor, if it is tested.
    package static let all: [BackendKind] = hasTorch ? [.torch] : BackendKind.builtIn
}
