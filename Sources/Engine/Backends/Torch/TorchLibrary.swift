import CTorch
import Glibc
import Synchronization

/// PyTorch's libraries, loaded into this process.
///
/// `@unchecked Sendable`: both properties are constant, and the table that `functions` points to is filled before `init`
/// and never changed. PyTorch's operators may be called from several threads; `CTorch` keeps error messages per thread.
package final class TorchLibrary: @unchecked Sendable {
    let functions: OpaquePointer
    /// Where they were found.
    package let installation: TorchFinder.Installation

    private init(_ functions: OpaquePointer, _ installation: TorchFinder.Installation) {
        (self.functions, self.installation) = (functions, installation)
    }

    private static let loaded = Mutex<[String: TorchLibrary]>([:])

    /// Loads the libraries, once per process.
    ///
    /// - Parameters:
    ///   - installation: where they are
    ///   - kind: the kind of device that they are needed for
    /// - Returns: their functions
    /// - Throws: `InputError` if they cannot be used at all, or not for this kind of device
    package static func load(
        _ installation: TorchFinder.Installation,
        for kind: DeviceName.Kind
    ) throws(InputError) -> TorchLibrary {
        let key = "\(installation.folder) \(kind == .cuda)"
        return try loaded.withLock { loaded throws(InputError) in
            if let known = loaded[key] { return known }
            let new = try open(installation, kind)
            loaded[key] = new
            return new
        }
    }

    private static func open(
        _ installation: TorchFinder.Installation,
        _ kind: DeviceName.Kind
    ) throws(InputError) -> TorchLibrary {
        let place = installation.folder
        var functions: OpaquePointer?
        let outcome = tessera_torch_open(place, kind == .cuda ? 1 : 0, &functions)
        let text = String(cString: tessera_torch_fault())
        switch outcome {
        case tessera_torch_opened:
            guard let functions else { preconditionFailure("a library without functions") }
            return TorchLibrary(functions, installation)
        case tessera_torch_symbol_missing:
            throw InputError(
                place,
                "this PyTorch\(installation.version.map { " (\($0))" } ?? "") lacks the function \(text); "
                    + "\(TorchFinder.oldest.major).\(TorchFinder.oldest.minor) or newer is needed",
                fix:
                    "Update it (python3 -m pip install --upgrade torch), or name another one with --torch"
            )
        case tessera_torch_no_cuda:
            throw InputError(
                "--device cuda",
                "the PyTorch in \(place)\(installation.version.map { " (\($0))" } ?? "") was built without CUDA",
                fix: "Install one with CUDA (python3 -m pip install torch), or use --device cpu"
            )
        case tessera_torch_no_cuda_libraries:
            throw InputError(
                "--device cuda",
                "the CUDA half of the PyTorch in \(place) cannot be loaded: \(text)",
                fix:
                    "Install it with NVIDIA's packages (python3 -m pip install torch), or use --device cpu"
            )
        default:
            throw InputError(
                place,
                "PyTorch cannot be loaded: \(text)",
                fix: "Install it again, or name another one with --torch"
            )
        }
    }

    /// PyTorch's identifiers of a device.
    struct Place {
        let kind: Int32
        let index: Int32
    }

    /// Looks up a device and tests it by allocating a first tensor.
    ///
    /// - Throws: `InputError` with PyTorch's message if the device cannot be used
    func place(of device: DeviceName) throws(InputError) -> Place {
        var (kind, index): (Int32, Int32) = (0, 0)
        var handle: OpaquePointer?
        let one: [Int64] = [1]
        guard tessera_torch_parse_device(functions, device.rawValue, &kind, &index) == 0,
            tessera_torch_empty(
                functions,
                1,
                one,
                one,
                tessera_torch_float32,
                kind,
                index,
                &handle
            ) == 0
        else {
            let text = String(cString: tessera_torch_fault())
            let error = DeviceError(device: "\(device)", operation: "a first tensor", message: text)
            if error.kind == .outOfMemory {
                throw InputError(
                    "--device \(device)",
                    "not even PyTorch's first tensor fits: \(oneLine(text, limit: 220))",
                    code: ENOMEM,
                    fix: ""
                )
            }
            let fix =
                device.kind == .cuda
                ? "Check the driver with nvidia-smi, and see tessera doctor"
                : "See tessera doctor for the devices of this machine"
            // PyTorch's message for a kind of device that it was built without.
            let isAbsent = text.hasPrefix("Could not run 'aten::empty")
            throw InputError(
                "--device \(device)",
                isAbsent
                    ? "this PyTorch was built without \(device.kind)"
                    : "PyTorch cannot use it: \(oneLine(text, limit: 220))",
                fix: fix
            )
        }
        if let handle { tessera_torch_delete(functions, handle) }
        return Place(kind: kind, index: index)
    }
}

/// A PyTorch tensor, or empty if the operation failed.
final class TorchTensor {
    let handle: OpaquePointer?
    private let library: TorchLibrary

    init(_ handle: OpaquePointer?, _ library: TorchLibrary) {
        (self.handle, self.library) = (handle, library)
    }

    deinit {
        if let handle { tessera_torch_delete(library.functions, handle) }
    }
}
