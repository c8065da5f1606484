import CTorch

/// Arithmetic by an installed PyTorch, on any device that it supports.
///
/// Activations are dense, in the order of `Backend`'s layouts. Every operation sees them through a view with the axes
/// and strides that PyTorch expects, channels-last for pictures, so nothing is reordered. Operations are enqueued; only
/// `download` and `moments` wait for the device. The first operation that fails is recorded and the later ones do
/// nothing, until the current step of the evaluation (`checking`) or the whole evaluation (`evaluating`) ends with the
/// error. So an error in one evaluation never reaches another one whose steps are interleaved with it.
package final class TorchBackend: Backend {
    let library: TorchLibrary
    let place: TorchLibrary.Place
    /// The device, for error messages.
    let device: DeviceName
    let type: tessera_torch_type
    private let threads: Int
    var failure: DeviceError?
    /// Whether this PyTorch supports page-locked memory.
    var canPin = true
    /// Nesting depth of calls that have set the number of threads.
    private var depth = 0
    package var isFilled: Bool { false }

    /// - Parameters:
    ///   - device: the device that computes
    ///   - precision: precision of weights and activations
    ///   - threads: threads that share an operation on the processor
    ///   - torch: the value of `--torch`
    /// - Throws: `InputError` if PyTorch or the device cannot be found or used
    init(
        device: DeviceName,
        precision: Precision,
        threads: Int,
        torch: String?
    ) throws(InputError) {
        let found = try TorchFinder().find(torch)
        library = try TorchLibrary.load(found, for: device.kind)
        place = try library.place(of: device)
        type =
            switch precision {
            case .f32: tessera_torch_float32
            case .bf16: tessera_torch_bfloat16
            case .f16: tessera_torch_float16
            }
        (self.device, self.threads) = (device, threads)
    }

    var functions: OpaquePointer { library.functions }
    /// Whether elements are shorter than float32.
    var isShort: Bool { type != tessera_torch_float32 }

    // MARK: Evaluations

    package func evaluating<T>(_ shape: [Int], _ body: () throws -> T) throws -> T {
        try check()
        let result: T
        do {
            result = try computing(body)
        } catch {
            // The cancellation may have followed a failure, and other evaluations need to know of the failure.
            try check()
            throw error
        }
        try check()
        return result
    }

    package var isAsynchronous: Bool { device != .processor }

    package func checking<T>(_ body: () throws -> T) throws -> T { try evaluating([], body) }

    package func persistent<T>(_ body: () -> T) -> T { computing(body) }

    package func check() throws {
        guard let failure else { return }
        self.failure = nil
        throw failure
    }

    /// Runs `body` with this backend's number of threads. Other backends need PyTorch to use one thread.
    func computing<T>(_ body: () throws -> T) rethrows -> T {
        depth += 1
        if depth == 1 { tessera_torch_threads(functions, Int32(threads)) }
        defer {
            depth -= 1
            if depth == 0 { tessera_torch_one_thread(functions) }
        }
        return try body()
    }

    // MARK: Calls

    /// Runs a C function that makes a tensor, unless an earlier one has failed.
    func attempt(
        _ operation: @autoclosure () -> String,
        _ body: (inout OpaquePointer?) -> Int32
    ) -> TorchTensor {
        var handle: OpaquePointer?
        if failure == nil, body(&handle) != 0 {
            handle = nil
            fail(operation())
        }
        return TorchTensor(handle, library)
    }

    /// Records a failure when an activation without content is used after its error has been thrown.
    private func failEmpty() {
        failure =
            failure
            ?? DeviceError(
                kind: .failed,
                device: device.rawValue,
                operation: "an evaluation",
                message: "what it needs was not computed"
            )
    }

    private func fail(_ operation: String) {
        failure = DeviceError(
            device: device.rawValue,
            operation: operation,
            message: String(cString: tessera_torch_fault())
        )
    }

    /// Calls an operator that returns one tensor.
    func call(_ name: StaticString, _ arguments: [TorchArgument]) -> TorchTensor {
        call(name, "", arguments)
    }

    /// Calls an overload of an operator that returns one tensor.
    func call(
        _ name: StaticString,
        _ overload: StaticString,
        _ arguments: [TorchArgument]
    ) -> TorchTensor {
        calls(name, overload, arguments, results: 1)[0]
    }

    /// Calls an operator.
    func calls(
        _ name: StaticString,
        _ overload: StaticString,
        _ arguments: [TorchArgument],
        results count: Int
    ) -> [TorchTensor] {
        var handles = [OpaquePointer?](repeating: nil, count: count)
        if arguments.contains(where: \.isMissing) { failEmpty() }
        if failure == nil {
            let values = arguments.map(\.value)
            let status = withExtendedLifetime(arguments) {
                tessera_torch_call(
                    functions,
                    name.string,
                    overload.string,
                    values,
                    Int32(values.count),
                    &handles,
                    Int32(count)
                )
            }
            if status != 0 {
                handles = [OpaquePointer?](repeating: nil, count: count)
                fail("\(name)")
            }
        }
        return handles.map { TorchTensor($0, library) }
    }

    /// Allocates an uninitialised tensor.
    func empty(
        _ sizes: [Int],
        _ strides: [Int]? = nil,
        _ type: tessera_torch_type? = nil
    ) -> TorchTensor {
        attempt("a tensor \(sizes)") {
            tessera_torch_empty(
                functions,
                Int32(sizes.count),
                sizes.map(Int64.init),
                (strides ?? Self.dense(sizes)).map(Int64.init),
                type ?? self.type,
                place.kind,
                place.index,
                &$0
            )
        }
    }

    /// A view of a tensor's storage; dense if no strides are given.
    func view(
        _ x: TorchTensor,
        _ sizes: [Int],
        _ strides: [Int]? = nil,
        offset: Int = 0
    ) -> TorchTensor {
        if x.handle == nil { failEmpty() }
        return attempt("a view \(sizes)") {
            tessera_torch_view(
                functions,
                x.handle,
                Int32(sizes.count),
                sizes.map(Int64.init),
                (strides ?? Self.dense(sizes)).map(Int64.init),
                Int64(offset),
                &$0
            )
        }
    }

    /// Copies elements, converting them to the target's type.
    func copy(_ from: TorchTensor, to: TorchTensor, withoutWaiting: Bool = false) {
        guard failure == nil else { return }
        if from.handle == nil || to.handle == nil { return failEmpty() }
        let wait: Int32 = withoutWaiting ? 1 : 0
        if tessera_torch_copy(functions, to.handle, from.handle, wait) != 0 { fail("a copy") }
    }

    /// a + b, with broadcasting.
    func sum(_ a: TorchTensor, _ b: TorchTensor) -> TorchTensor {
        if a.handle == nil || b.handle == nil { failEmpty() }
        return attempt("a sum") { tessera_torch_add(functions, a.handle, b.handle, &$0) }
    }

    /// Zero-pads the last axes; `pairs` holds before and after, starting with the last axis.
    func padded(_ x: TorchTensor, _ pairs: [Int]) -> TorchTensor {
        if x.handle == nil { failEmpty() }
        return attempt("padding") {
            tessera_torch_pad(functions, x.handle, pairs.map(Int64.init), Int32(pairs.count), &$0)
        }
    }

    private func strides(_ x: TorchTensor, count: Int) -> [Int]? {
        guard failure == nil, x.handle != nil else { return nil }
        var axes: Int64 = 0
        var strides = [Int64](repeating: 0, count: Int(TESSERA_TORCH_AXES))
        guard tessera_torch_strides(functions, x.handle, &axes, &strides) == 0, axes == count else {
            fail("reading strides")
            return nil
        }
        return strides.prefix(count).map { Int($0) }
    }

    // MARK: Activations

    /// Strides of a dense tensor.
    static func dense(_ sizes: [Int]) -> [Int] {
        var step = 1
        return sizes.reversed().map { size in
            defer { step *= max(1, size) }
            return step
        }.reversed()
    }

    private static func isDense(_ sizes: [Int], _ strides: [Int]) -> Bool {
        Swift.zip(Swift.zip(sizes, dense(sizes)), strides).allSatisfy { $0.0 == 1 || $0.1 == $1 }
    }

    /// Makes an activation of a result; elements are reordered only if PyTorch left them in another order.
    ///
    /// - Parameters:
    ///   - x: the result
    ///   - sizes: sizes of the axes in the activation's order
    ///   - axes: which axis of `x` each of them is
    ///   - shape: shape of the activation
    /// - Returns: a dense activation; without content after a failure
    func activation(
        _ x: TorchTensor,
        _ sizes: [Int],
        axes: [Int],
        shape: [Int]? = nil
    ) -> Activation {
        let shape = shape ?? sizes
        guard let own = strides(x, count: sizes.count) else {
            return Activation(shape: shape, storage: TorchTensor(nil, library))
        }
        let strides = axes.map { own[$0] }
        if Self.isDense(sizes, strides) { return Activation(shape: shape, storage: x) }
        let ordered = empty(sizes)
        copy(view(x, sizes, strides), to: ordered)
        return Activation(shape: shape, storage: ordered)
    }

    /// Makes an activation of a dense result.
    func activation(_ x: TorchTensor, _ shape: [Int]) -> Activation {
        Activation(shape: shape, storage: x)
    }

    /// The tensor behind an activation; dense, but of any shape.
    func tensor(_ x: Activation) -> TorchTensor {
        guard let tensor = x.storage as? TorchTensor else {
            preconditionFailure("an activation of another backend")
        }
        return tensor
    }

    /// An activation in the form that PyTorch expects for pictures: `[n, channels, height, width]` in channels-last
    /// order. Token sequences become pictures of one column.
    func pictures(_ x: Activation) -> TorchTensor {
        let s = Self.pictureShape(x.shape)
        let row = s[2] * s[3]
        return view(tensor(x), [s[0], s[3], s[1], s[2]], [s[1] * row, 1, row, s[3]])
    }

    /// An activation as a matrix whose rows are its last axis.
    func rows(_ x: Activation) -> TorchTensor {
        let width = x.shape[x.shape.count - 1]
        return view(tensor(x), [x.shape.reduce(1, *) / max(1, width), width])
    }

    static func pictureShape(_ shape: [Int]) -> [Int] {
        switch shape.count {
        case 4: shape
        case 3: [shape[0], shape[1], 1, shape[2]]
        default: preconditionFailure("\(shape) is not the shape of a picture")
        }
    }
}

extension StaticString {
    /// The string as a C pointer.
    fileprivate var string: UnsafePointer<CChar> {
        UnsafeRawPointer(utf8Start).assumingMemoryBound(to: CChar.self)
    }
}
