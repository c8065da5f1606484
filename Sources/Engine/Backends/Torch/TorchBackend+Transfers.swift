import CTorch

/// Transfers between the host and the device.
extension TorchBackend {
    /// Does nothing: PyTorch frees its cached memory itself before it reports that the device is out of memory.
    package func releaseFreeMemory() {}

    package var elementBytes: Int { isShort ? 2 : 4 }

    package func blank(_ shape: [Int]) -> Activation { activation(empty(shape), shape) }

    package var deviceMemory: DeviceMemory? {
        guard device.kind == .cuda else { return nil }
        var (free, all): (UInt64, UInt64) = (0, 0)
        guard tessera_torch_free_memory(functions, place.index, &free, &all) == 0 else {
            return nil
        }
        return DeviceMemory(free: Int(clamping: free), all: Int(clamping: all))
    }

    package func read<Failure: Error>(
        _ activation: Activation,
        _ body: (UnsafeRawBufferPointer, Int) throws(Failure) -> Void
    ) throws(Failure) {
        try eachPiece(of: activation) { own, host, bytes, offset throws(Failure) in
            copy(own, to: host)
            try body(UnsafeRawBufferPointer(bytes), offset)
        }
    }

    package func write<Failure: Error>(
        _ activation: Activation,
        _ body: (UnsafeMutableRawBufferPointer, Int) throws(Failure) -> Void
    ) throws(Failure) {
        try eachPiece(of: activation) { own, host, bytes, offset throws(Failure) in
            try body(bytes, offset)
            copy(host, to: own)
        }
    }

    /// Maximum bytes per transfer from or to the device.
    private static let pieceBytes = 64 << 20

    /// Calls `body` for each piece of an activation, with the piece, host memory for it as a tensor and as
    /// bytes, and its offset in bytes.
    private func eachPiece<Failure: Error>(
        of activation: Activation,
        _ body: (TorchTensor, TorchTensor, UnsafeMutableRawBufferPointer, Int) throws(Failure) ->
            Void
    ) throws(Failure) {
        let count = activation.shape.reduce(1, *)
        let most = min(count, Self.pieceBytes / elementBytes)
        let memory = hostMemory(numbers: most)
        for first in stride(from: 0, to: count, by: max(1, most)) {
            let size = min(most, count - first)
            try body(
                view(tensor(activation), [size], offset: first),
                borrowed(memory.bytes.baseAddress, [size], type),
                UnsafeMutableRawBufferPointer(rebasing: memory.bytes[..<(size * elementBytes)]),
                first * elementBytes
            )
        }
    }

    /// Host memory, page-locked where PyTorch supports it, so that the device copies at full
    /// speed. PyTorch keeps it for reuse.
    private func hostMemory(numbers: Int) -> TorchHostMemory {
        let size = numbers * elementBytes
        var (handle, start): (OpaquePointer?, UnsafeMutableRawPointer?) = (nil, nil)
        if device.kind == .cuda, canPin, failure == nil,
            tessera_torch_pinned(functions, 1, [Int64(numbers)], [1], type, &handle) == 0
        {
            let tensor = TorchTensor(handle, library)
            if tessera_torch_memory(functions, handle, &start) == 0, let start {
                return TorchHostMemory(start, size, owner: tensor)
            }
        }
        return TorchHostMemory(size)
    }

    package func upload(_ tensor: Tensor) -> Activation {
        activation(pinned(tensor) ?? uploaded(tensor), tensor.shape)
    }

    /// Uploads a tensor through page-locked memory, so that the copy does not wait for pending work on the device. From
    /// ordinary memory, CUDA copies only small tensors without waiting.
    ///
    /// - Returns: nil for tensors that CUDA copies without waiting anyway, and if PyTorch
    ///   cannot allocate page-locked memory
    private func pinned(_ tensor: Tensor) -> TorchTensor? {
        guard device.kind == .cuda, canPin, failure == nil,
            tensor.count * MemoryLayout<Float>.size > Self.copiedAtOnce
        else { return nil }
        var handle: OpaquePointer?
        let (sizes, strides) = (tensor.shape, Self.dense(tensor.shape))
        guard
            tessera_torch_pinned(
                functions,
                Int32(sizes.count),
                sizes.map(Int64.init),
                strides.map(Int64.init),
                type,
                &handle
            ) == 0
        else {
            canPin = false
            return nil
        }
        let staged = TorchTensor(handle, library)
        copyFloats(of: tensor, to: staged)
        let to = empty(sizes)
        // PyTorch does not reuse the page-locked memory until the copy has read it.
        copy(staged, to: to, withoutWaiting: true)
        return to
    }

    /// Maximum bytes that CUDA copies from ordinary memory without waiting.
    private static let copiedAtOnce = 64 << 10

    /// Uploads a tensor in the backend's precision or as `type`; `strides` reorders its elements in memory.
    func uploaded(
        _ tensor: Tensor,
        strides: [Int]? = nil,
        _ type: tessera_torch_type? = nil
    ) -> TorchTensor {
        let to = empty(tensor.shape, strides, type)
        copyFloats(of: tensor, to: to, withoutWaiting: stages)
        return to
    }

    private func copyFloats(
        of tensor: Tensor,
        to: TorchTensor,
        withoutWaiting: Bool = false
    ) {
        tensor.withFloats { floats in
            let memory = UnsafeMutableRawPointer(mutating: UnsafeRawPointer(floats.baseAddress))
            let from = borrowed(memory, tensor.shape, tessera_torch_float32)
            copy(from, to: to, withoutWaiting: withoutWaiting)
        }
    }

    /// Whether a non-blocking copy has read ordinary memory by the time it returns. CUDA copies
    /// it to a staging buffer first.
    private var stages: Bool { device.kind == .cuda }

    /// A tensor that refers to ordinary memory; the memory must outlive it.
    func borrowed(
        _ memory: UnsafeMutableRawPointer?,
        _ sizes: [Int],
        _ type: tessera_torch_type
    ) -> TorchTensor {
        attempt("host memory") {
            tessera_torch_borrow(
                functions,
                memory,
                Int32(sizes.count),
                sizes.map(Int64.init),
                Self.dense(sizes).map(Int64.init),
                type,
                &$0
            )
        }
    }

    /// Uploads integers.
    func uploaded(_ numbers: [Int], _ sizes: [Int]) -> TorchTensor {
        let to = empty(sizes, nil, tessera_torch_int64)
        var numbers = numbers.map(Int64.init)
        numbers.withUnsafeMutableBytes {
            copy(borrowed($0.baseAddress, sizes, tessera_torch_int64), to: to)
        }
        return to
    }

    package func download(_ activation: Activation) -> Tensor {
        downloaded(view(tensor(activation), activation.shape), activation.shape)
    }

    /// Downloads a tensor as float32; zeros after a failure.
    func downloaded(_ x: TorchTensor, _ shape: [Int]) -> Tensor {
        Tensor(shape: shape) { out in
            copy(
                x,
                to: borrowed(
                    UnsafeMutableRawPointer(out.baseAddress),
                    shape,
                    tessera_torch_float32
                )
            )
            if failure != nil { out.update(repeating: 0) }
        }
    }
}

/// Host memory for copies from or to the device.
private final class TorchHostMemory {
    let bytes: UnsafeMutableRawBufferPointer
    /// The tensor that owns the memory; nil if this object does.
    private let owner: TorchTensor?

    init(_ start: UnsafeMutableRawPointer, _ size: Int, owner: TorchTensor) {
        bytes = UnsafeMutableRawBufferPointer(start: start, count: size)
        self.owner = owner
    }

    init(_ size: Int) {
        bytes = .allocate(byteCount: size, alignment: 64)
        owner = nil
    }

    deinit {
        if owner == nil { bytes.deallocate() }
    }
}
