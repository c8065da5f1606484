import CTorch

/// The weights of a layer in the device's memory.
final class TorchWeights {
    let weight: TorchTensor
    let bias: TorchTensor?

    init(_ weight: TorchTensor, _ bias: TorchTensor?) {
        (self.weight, self.bias) = (weight, bias)
    }
}

/// Scale and shift of a norm, on the device and on the host.
final class TorchNorm {
    let scale: TorchTensor, shift: TorchTensor
    let ownScale: Tensor, ownShift: Tensor

    init(_ scale: TorchTensor, _ shift: TorchTensor, own: (scale: Tensor, shift: Tensor)) {
        (self.scale, self.shift) = (scale, shift)
        (ownScale, ownShift) = own
    }
}

/// Weights are read one at a time, converted to the backend's precision on the way, and kept only on the device.
extension TorchBackend {
    package func prepareLinear(
        inputs: Int,
        outputs: Int,
        hasBias: Bool,
        _ read: () throws -> Parameters
    ) throws -> LinearWeights {
        let parameters = try read()
        let weights = try computing {
            let weight = loaded(parameters, [outputs, inputs])
            let bias = hasBias ? parameters.bias.map { loaded($0) } : nil
            try check()
            return TorchWeights(weight, bias)
        }
        return LinearWeights(inputs: inputs, outputs: outputs, storage: weights)
    }

    package func prepareConv(
        inputs: Int,
        outputs: Int,
        kernel: Int,
        stride: Int,
        _ read: () throws -> Parameters
    ) throws -> ConvWeights {
        let parameters = try read()
        let weights = try computing {
            let weight = loaded(
                parameters,
                [outputs, inputs, kernel, kernel],
                strides: [kernel * kernel * inputs, 1, kernel * inputs, inputs]
            )
            let bias = parameters.bias.map { loaded($0) }
            try check()
            return TorchWeights(weight, bias)
        }
        return ConvWeights(
            inputs: inputs,
            outputs: outputs,
            kernel: kernel,
            stride: stride,
            storage: weights
        )
    }

    /// False on Apple's and Intel's GPUs, where this is untested.
    package var readsStoredWeights: Bool { device.kind == .cpu || device.kind == .cuda }

    private func loaded(
        _ parameters: Parameters,
        _ shape: [Int],
        strides: [Int]? = nil
    ) -> TorchTensor {
        guard !parameters.stored.isEmpty else {
            return loaded(parameters.weight.reshaped(shape), strides: strides)
        }
        return twice(shape) { uploaded(parameters.stored, shape, strides: strides) }
    }

    private func loaded(_ weight: Tensor, strides: [Int]? = nil) -> TorchTensor {
        twice(weight.shape) { uploaded(weight, strides: strides) }
    }

    /// Uploads a weight, with one retry if memory is too small: PyTorch has emptied its cache by then, and another
    /// process may just have freed memory. If the retry fails too, the error names the shape.
    private func twice(_ shape: [Int], _ upload: () -> TorchTensor) -> TorchTensor {
        guard failure == nil else { return upload() }
        let first = upload()
        guard failure?.kind == .outOfMemory else { return first }
        failure = nil
        let second = upload()
        if let shortage = failure, shortage.kind == .outOfMemory {
            failure = shortage.atWeights(shape, areShort: isShort)
        }
        return second
    }

    /// Uploads pieces along the first axis in their stored type and converts them on the device: on the processor,
    /// converting them would take longer than copying them.
    private func uploaded(
        _ pieces: [StoredWeight],
        _ shape: [Int],
        strides: [Int]?
    ) -> TorchTensor {
        let to = empty(shape, strides)
        let (strides, row) = (strides ?? Self.dense(shape), shape.dropFirst().reduce(1, *))
        var first = 0
        for piece in pieces {
            let sizes = [piece.count / max(1, row)] + shape.dropFirst()
            let type =
                switch piece.type {
                case .float16: tessera_torch_float16
                case .bfloat16: tessera_torch_bfloat16
                default: tessera_torch_float32
                }
            let memory = UnsafeMutableRawPointer(mutating: piece.bytes.baseAddress)
            var from = borrowed(memory, sizes, type)
            if isAsynchronous {
                let staged = empty(sizes, nil, type)
                copy(from, to: staged)
                from = staged
            }
            copy(from, to: view(to, sizes, strides, offset: first * strides[0]))
            first += sizes[0]
        }
        return to
    }

    package func prepareNorm(scale: Tensor, shift: Tensor) -> NormWeights {
        precondition(scale.shape == shift.shape, "\(scale.shape) vs \(shift.shape)")
        let norm = TorchNorm(loaded(scale), loaded(shift), own: (scale, shift))
        return NormWeights(channels: scale.count, storage: norm)
    }

    package func prepareTable(_ table: Tensor) -> TableWeights {
        precondition(table.shape.count == 2, "\(table.shape)")
        return TableWeights(
            rows: table.shape[0],
            width: table.shape[1],
            storage: TorchWeights(loaded(table), nil)
        )
    }

    /// The layer behind a handle.
    func layer(_ storage: AnyObject) -> TorchWeights {
        guard let layer = storage as? TorchWeights else {
            preconditionFailure("weights of another backend")
        }
        return layer
    }

    /// The norm behind a handle.
    func norm(_ storage: AnyObject) -> TorchNorm {
        guard let norm = storage as? TorchNorm else {
            preconditionFailure("weights of another backend")
        }
        return norm
    }
}
