/// The weights of one module of a checkpoint: a path into its key names, which are Diffusers' and
/// Transformers' own. Everything that a network reads goes through here, with the shape that the
/// configuration calls for.
struct ModuleWeights {
    let reader: WeightReader
    let backend: any Backend
    /// The key prefix, without the last dot; empty at the root.
    var path = ""

    /// The submodule `name`.
    subscript(_ name: String) -> ModuleWeights {
        ModuleWeights(
            reader: reader,
            backend: backend,
            path: path.isEmpty ? name : "\(path).\(name)"
        )
    }

    /// Item `index` of a list of modules.
    subscript(_ index: Int) -> ModuleWeights { self["\(index)"] }

    /// Whether the checkpoint has a weight of this name here.
    func has(_ name: String) -> Bool { reader.has(self[name].path) }

    private func tensor(_ name: String, _ shape: [Int]) throws -> Tensor {
        try reader.tensor(self[name].path, shape)
    }

    /// A linear layer `[outputs, inputs]`.
    func linear(_ inputs: Int, _ outputs: Int, bias: Bool = true) throws -> Linear {
        Linear(weights: try matrix(inputs, outputs, bias: bias, pointwise: false), backend: backend)
    }

    /// A 1 × 1 convolution `[outputs, inputs, 1, 1]`, as the linear layer that it is.
    func pointwise(_ inputs: Int, _ outputs: Int) throws -> Linear {
        Linear(weights: try matrix(inputs, outputs, bias: true, pointwise: true), backend: backend)
    }

    /// A gated linear layer of `2 · outputs` rows: the values', then the gates'.
    func gatedLinear(_ inputs: Int, _ outputs: Int) throws -> GatedLinear {
        let panels = try backend.prepareGated(inputs: inputs, outputs: outputs) {
            Parameters(
                try tensor("weight", [2 * outputs, inputs]),
                bias: try tensor("bias", [2 * outputs])
            )
        }
        return GatedLinear(panels: panels, backend: backend)
    }

    private func matrix(
        _ inputs: Int,
        _ outputs: Int,
        bias: Bool,
        pointwise: Bool
    ) throws -> LinearWeights {
        let shape = [outputs, inputs] + (pointwise ? [1, 1] : [])
        return try backend.prepareLinear(inputs: inputs, outputs: outputs, hasBias: bias) {
            Parameters(
                try tensor("weight", shape).reshaped([outputs, inputs]),
                bias: bias ? try tensor("bias", [outputs]) : nil
            )
        }
    }

    /// Several linear layers of one input, computed as one: their outputs side by side.
    func sideBySide(
        _ names: [String],
        _ inputs: Int,
        _ outputs: Int,
        bias: Bool
    ) throws -> Linear {
        let all = names.count * outputs
        let weights = try backend.prepareLinear(inputs: inputs, outputs: all, hasBias: bias) {
            let rows = try names.map { try self[$0].tensor("weight", [outputs, inputs]) }
            let biases = bias ? try names.map { try self[$0].tensor("bias", [outputs]) } : nil
            return Parameters(
                Tensor(chaining: rows, shape: [all, inputs]),
                bias: biases.map { Tensor(chaining: $0, shape: [all]) }
            )
        }
        return Linear(weights: weights, backend: backend)
    }

    /// A 3 × 3 convolution.
    func conv3x3(
        _ inputs: Int,
        _ outputs: Int,
        stride: Int = 1,
        padding: Padding = .all(1)
    ) throws -> Conv2d {
        try conv(inputs, outputs, kernel: 3, stride: stride, padding: padding) { $0 }
    }

    /// A convolution whose weights are made from the 3 × 3 ones of the checkpoint.
    func conv(
        _ inputs: Int,
        _ outputs: Int,
        kernel: Int,
        stride: Int = 1,
        padding: Padding,
        made: (Tensor) -> Tensor
    ) throws -> Conv2d {
        let weights = try backend.prepareConv(
            inputs: inputs,
            outputs: outputs,
            kernel: kernel,
            stride: stride
        ) {
            Parameters(
                made(try tensor("weight", [outputs, inputs, 3, 3])),
                bias: try tensor("bias", [outputs])
            )
        }
        return Conv2d(weights: weights, padding: padding, backend: backend)
    }

    func groupNorm(_ channels: Int, groups: Int, epsilon: Float) throws -> GroupNorm {
        GroupNorm(
            weights: try norm(channels),
            groups: groups,
            epsilon: epsilon,
            backend: backend
        )
    }

    func layerNorm(_ width: Int, epsilon: Float = 1e-5) throws -> LayerNorm {
        LayerNorm(weights: try norm(width), epsilon: epsilon, backend: backend)
    }

    private func norm(_ channels: Int) throws -> NormWeights {
        backend.prepareNorm(
            scale: try tensor("weight", [channels]),
            shift: try tensor("bias", [channels])
        )
    }

    /// An embedding table.
    func table(_ rows: Int, _ width: Int) throws -> TableWeights {
        backend.prepareTable(try tensor("weight", [rows, width]))
    }
}
