import CTorch

/// An argument to a PyTorch operator.
enum TorchArgument {
    /// An omitted optional argument.
    case none
    case tensor(TorchTensor)
    case optional(TorchTensor?)
    case tensors(TorchTensor, TorchTensor)
    case ints([Int])
    case optionalInts([Int])
    case int(Int)
    case bool(Bool)
    case double(Double)
    case text(StaticString)

    /// Whether it contains a tensor that is the result of a failed operation.
    var isMissing: Bool {
        switch self {
        case .tensor(let x): x.handle == nil
        case .optional(let x): x.map { $0.handle == nil } ?? false
        case .tensors(let a, let b): a.handle == nil || b.handle == nil
        default: false
        }
    }

    /// The argument in its C form; valid while this argument is held.
    var value: tessera_torch_argument {
        switch self {
        case .none: tessera_torch_of_int(tessera_torch_none, 0)
        case .tensor(let x): tessera_torch_of_tensors(tessera_torch_tensor, x.handle, nil)
        case .optional(let x):
            tessera_torch_of_tensors(tessera_torch_optional_tensor, x?.handle, nil)
        case .tensors(let a, let b):
            tessera_torch_of_tensors(tessera_torch_tensors, a.handle, b.handle)
        case .ints(let values): Self.list(values, tessera_torch_ints)
        case .optionalInts(let values): Self.list(values, tessera_torch_optional_ints)
        case .int(let value): tessera_torch_of_int(tessera_torch_int, Int64(value))
        case .bool(let value): tessera_torch_of_int(tessera_torch_bool, value ? 1 : 0)
        case .double(let value): tessera_torch_of_double(value)
        case .text(let text):
            text.utf8Start.withMemoryRebound(to: CChar.self, capacity: text.utf8CodeUnitCount + 1) {
                tessera_torch_of_text($0)
            }
        }
    }

    private static func list(
        _ values: [Int],
        _ kind: tessera_torch_kind
    ) -> tessera_torch_argument {
        precondition(values.count <= Int(TESSERA_TORCH_AXES), "\(values)")
        return tessera_torch_of_ints(kind, values.map(Int64.init), Int32(values.count))
    }
}
