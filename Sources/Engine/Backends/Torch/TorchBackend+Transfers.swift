import CTorch

/// What goes to the device and comes back.
extension TorchBackend {
    /// Nothing: before PyTorch reports that a device's memory is exhausted, it returns what it keeps by itself.
    package func releaseFreeMemory() {}

    package var elementBytes: Int { isShort ? 2 : 4 }

    package func blank(_ shape: [Int]) -> Activation { activation(empty(shape), shape) }

    /// Copies them from the device, and back.
    package func withBytes<T, Failure: Error>(
        of activation: Activation,
        _ body: (UnsafeMutableRawBufferPointer) throws(Failure) -> T
    ) throws(Failure) -> T {
        let memory = UnsafeMutableRawBufferPointer.allocate(
            byteCount: activation.shape.reduce(elementBytes, *),
            alignment: 64
        )
        defer { memory.deallocate() }
        let host = borrowed(memory.baseAddress, activation.shape, type)
        let own = view(tensor(activation), activation.shape)
        copy(own, to: host)
        let result = try body(memory)
        copy(host, to: own)
        return result
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
    private func borrowed(
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
