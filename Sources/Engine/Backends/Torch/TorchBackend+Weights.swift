/// The weights of a layer on the device.
final class TorchWeights {
    let weight: TorchTensor
    let bias: TorchTensor?

    init(_ weight: TorchTensor, _ bias: TorchTensor?) {
        (self.weight, self.bias) = (weight, bias)
    }
}

/// Scale and shift of a norm on the device, and here.
final class TorchNorm {
    let scale: TorchTensor, shift: TorchTensor
    let ownScale: Tensor, ownShift: Tensor

    init(_ scale: TorchTensor, _ shift: TorchTensor, own: (scale: Tensor, shift: Tensor)) {
        (self.scale, self.shift) = (scale, shift)
        (ownScale, ownShift) = own
    }
}

/// Weights are read one at a time, converted to the backend's precision on their way, and kept on the device alone.
extension TorchBackend {
    package func prepareLinear(
        inputs: Int,
        outputs: Int,
        hasBias: Bool,
        _ read: () throws -> Parameters
    ) throws -> LinearWeights {
        let parameters = try read()
        let weights = try computing {
            let weight = loaded(parameters.weight.reshaped([outputs, inputs]))
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
                parameters.weight,
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

    /// A weight on the device, uploaded twice if need be: another process may just have freed its memory, and PyTorch has
    /// emptied its cache. Too little memory is a failure that names the shape.
    private func loaded(_ weight: Tensor, strides: [Int]? = nil) -> TorchTensor {
        guard failure == nil else { return uploaded(weight, strides: strides) }
        let first = uploaded(weight, strides: strides)
        guard failure?.kind == .outOfMemory else { return first }
        failure = nil
        let second = uploaded(weight, strides: strides)
        if let shortage = failure, shortage.kind == .outOfMemory {
            failure = shortage.atWeights(weight.shape, areShort: isShort)
        }
        return second
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
