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
        let weights = try loading(parameters.weight.shape) {
            let weight = uploaded(parameters.weight.reshaped([outputs, inputs]))
            let bias = hasBias ? parameters.bias.map { uploaded($0) } : nil
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
        let weights = try loading(parameters.weight.shape) {
            let weight = uploaded(
                parameters.weight,
                strides: [kernel * kernel * inputs, 1, kernel * inputs, inputs]
            )
            let bias = parameters.bias.map { uploaded($0) }
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

    /// Uploads weights of a shape, twice if need be: another process may just have freed its memory, and PyTorch has emptied
    /// its cache. Too little memory is an error that names the shape.
    private func loading(_ shape: [Int], _ body: () throws -> TorchWeights) throws -> TorchWeights {
        func isShortage(_ error: any Error) -> Bool {
            (error as? DeviceError)?.kind == .outOfMemory
        }
        do {
            return try computing(body)
        } catch  where isShortage(error) {
            do {
                return try computing(body)
            } catch let error as DeviceError where isShortage(error) {
                throw error.atWeights(shape)
            }
        }
    }

    package func prepareNorm(scale: Tensor, shift: Tensor) -> NormWeights {
        precondition(scale.shape == shift.shape, "\(scale.shape) vs \(shift.shape)")
        let norm = TorchNorm(uploaded(scale), uploaded(shift), own: (scale, shift))
        return NormWeights(channels: scale.count, storage: norm)
    }

    package func prepareTable(_ table: Tensor) -> TableWeights {
        precondition(table.shape.count == 2, "\(table.shape)")
        return TableWeights(
            rows: table.shape[0],
            width: table.shape[1],
            storage: TorchWeights(uploaded(table), nil)
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
