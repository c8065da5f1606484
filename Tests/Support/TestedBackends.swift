import Engine
import Foundation

/// The backends that tests run on.
package enum TestedBackends {
    /// Whether PyTorch is tested: `$TESSERA_TORCH` names an installation, as in `make test-torch`.
    package static let hasTorch =
        !(ProcessInfo.processInfo.environment[TorchFinder.variable] ?? "").isEmpty

    /// The built-in backends, or PyTorch alone, on the processor, if it is tested.
    package static let all: [BackendKind] = hasTorch ? [.torch] : BackendKind.builtIn
}
