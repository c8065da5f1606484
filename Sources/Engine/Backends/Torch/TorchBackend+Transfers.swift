import CTorch

/// What goes to the device and comes back.
extension TorchBackend {
    /// Nothing: before PyTorch reports that a device's memory is exhausted, it returns what it keeps by itself.
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

    /// Bytes that go from the device, or to it, at once.
    private static let pieceBytes = 64 << 20

    /// Calls `body` with each piece of an activation, with memory of this process for it as a tensor and as bytes, and with its offset
    /// in bytes.
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

    /// Memory of this process, page-locked where PyTorch has such memory: then the device copies at its full speed. PyTorch keeps
    /// it for the next time.
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

    /// A tensor on the device by way of memory that the device reads by itself, so that nothing waits for what it computes. From
    /// ordinary memory CUDA copies at once only what is small.
    ///
    /// - Returns: nil for tensors that CUDA copies without waiting anyway, and where PyTorch cannot allocate such memory
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
        // PyTorch does not reuse the memory before it has been read.
        copy(staged, to: to, withoutWaiting: true)
        return to
    }

    /// Bytes that CUDA takes from ordinary memory without waiting.
    private static let copiedAtOnce = 64 << 10

    /// A tensor on the device, in the backend's precision or in `type`, in another order of its elements if there are strides.
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

    /// Whether a copy that does not wait has read ordinary memory when it returns. CUDA copies it aside first.
    private var stages: Bool { device.kind == .cuda }

    /// A tensor in ordinary memory, which must outlive it.
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

    /// Whole numbers on the device.
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

    /// A tensor's numbers as float32; zeros after a failure.
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

/// Memory of this process for what is copied from the device or to it.
private final class TorchHostMemory {
    let bytes: UnsafeMutableRawBufferPointer
    /// Whose memory it is; nil: its own.
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
