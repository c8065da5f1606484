/// The weights of one module of a checkpoint: a prefix of its keys, which are Diffusers' and Transformers' own.
/// Everything that a network reads goes through this type, with the shape that the configuration requires.
///
/// Every weight is checked against its file's header before a backend is asked to store it,
/// even if it was prepared earlier.
struct ModuleWeights {
    let reader: WeightReader
    let backend: any Backend
    /// The key prefix, without the trailing dot; empty at the root.
    var path = ""
    /// Whether only the headers are checked: no weights are read, and the resulting network cannot compute.
    var isDescription = false

    /// The submodule `name`.
    subscript(_ name: String) -> ModuleWeights {
        ModuleWeights(
            reader: reader,
            backend: backend,
            path: path.isEmpty ? name : "\(path).\(name)",
            isDescription: isDescription
        )
    }

    /// Element `index` of a list of modules.
    subscript(_ index: Int) -> ModuleWeights { self["\(index)"] }

    /// Whether the checkpoint has a weight with this name in this module.
    func has(_ name: String) -> Bool { reader.has(self[name].path) }

    /// Stands for a missing weight in an error.
    private final class Nothing {}

    private func tensor(_ name: String, _ shape: [Int]) throws -> Tensor {
        try reader.tensor(self[name].path, shape)
    }

    private func check(_ name: String, _ shape: [Int]) throws {
        try reader.check(self[name].path, shape)
    }

    /// Weights of modules of the same shape, with their outputs concatenated; as stored in the
    /// files if the backend reads that.
    ///
    /// - Parameters:
    ///   - modules: at least one module
    ///   - shape: shape of each module's weight
    ///   - axes: remaining axes of the result, after the outputs
    ///   - bias: whether the modules have a bias
    /// - Returns: the parameters of all modules together
    /// - Throws: as `WeightReader.tensor`
    private func parameters(
        of modules: [ModuleWeights],
        _ shape: [Int],
        as axes: [Int]? = nil,
        bias: Bool
    ) throws -> Parameters {
        let outputs = modules.count * shape[0]
        let whole = [outputs] + (axes ?? Array(shape.dropFirst()))
        func joined(_ tensors: [Tensor], _ shape: [Int]) -> Tensor {
            tensors.count == 1
                ? tensors[0].reshaped(shape) : Tensor(chaining: tensors, shape: shape)
        }
        let biases =
            bias ? joined(try modules.map { try $0.tensor("bias", [shape[0]]) }, [outputs]) : nil
        if backend.readsStoredWeights {
            let stored = try modules.compactMap {
                try $0.reader.stored($0["weight"].path, shape)
            }
            if stored.count == modules.count {
                return Parameters(stored: stored, shape: whole, bias: biases)
            }
        }
        return Parameters(
            joined(try modules.map { try $0.tensor("weight", shape) }, whole),
            bias: biases
        )
    }

    /// A linear layer `[outputs, inputs]`.
    func linear(_ inputs: Int, _ outputs: Int, bias: Bool = true) throws -> Linear {
        Linear(weights: try matrix(inputs, outputs, bias: bias, pointwise: false), backend: backend)
    }

    /// A 1 × 1 convolution `[outputs, inputs, 1, 1]`, read as the equivalent linear layer.
    func pointwise(_ inputs: Int, _ outputs: Int) throws -> Linear {
        Linear(weights: try matrix(inputs, outputs, bias: true, pointwise: true), backend: backend)
    }

    /// A gated linear layer of `2 · outputs` rows: first the values', then the gates'.
    func gatedLinear(_ inputs: Int, _ outputs: Int) throws -> GatedLinear {
        try check("weight", [2 * outputs, inputs])
        try check("bias", [2 * outputs])
        guard !isDescription else { return GatedLinear(panels: [], backend: backend) }
        let panels = try backend.prepareGated(inputs: inputs, outputs: outputs) {
            try parameters(of: [self], [2 * outputs, inputs], bias: true)
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
        try check("weight", shape)
        if bias { try check("bias", [outputs]) }
        guard !isDescription else {
            return LinearWeights(inputs: inputs, outputs: outputs, storage: Nothing())
        }
        return try backend.prepareLinear(inputs: inputs, outputs: outputs, hasBias: bias) {
            try parameters(of: [self], shape, as: [inputs], bias: bias)
        }
    }

    /// Several linear layers with the same input, computed as one: their outputs are concatenated.
    func sideBySide(
        _ names: [String],
        _ inputs: Int,
        _ outputs: Int,
        bias: Bool
    ) throws -> Linear {
        let all = names.count * outputs
        for name in names {
            try self[name].check("weight", [outputs, inputs])
            if bias { try self[name].check("bias", [outputs]) }
        }
        guard !isDescription else {
            let nothing = LinearWeights(inputs: inputs, outputs: all, storage: Nothing())
            return Linear(weights: nothing, backend: backend)
        }
        let weights = try backend.prepareLinear(inputs: inputs, outputs: all, hasBias: bias) {
            try parameters(of: names.map { self[$0] }, [outputs, inputs], bias: bias)
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
        try conv(inputs, outputs, kernel: 3, stride: stride, padding: padding, made: nil)
    }

    /// A convolution whose weights are the checkpoint's 3 × 3 weights or computed from them.
    func conv(
        _ inputs: Int,
        _ outputs: Int,
        kernel: Int,
        stride: Int = 1,
        padding: Padding,
        made: ((Tensor) -> Tensor)?
    ) throws -> Conv2d {
        try check("weight", [outputs, inputs, 3, 3])
        try check("bias", [outputs])
        guard !isDescription else {
            let nothing = ConvWeights(
                inputs: inputs,
                outputs: outputs,
                kernel: kernel,
                stride: stride,
                storage: Nothing()
            )
            return Conv2d(weights: nothing, padding: padding, backend: backend)
        }
        let weights = try backend.prepareConv(
            inputs: inputs,
            outputs: outputs,
            kernel: kernel,
            stride: stride
        ) {
            guard let made else {
                return try parameters(of: [self], [outputs, inputs, 3, 3], bias: true)
            }
            return Parameters(
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
        try check("weight", [channels])
        try check("bias", [channels])
        guard !isDescription else { return NormWeights(channels: channels, storage: Nothing()) }
        return backend.prepareNorm(
            scale: try tensor("weight", [channels]),
            shift: try tensor("bias", [channels])
        )
    }

    /// An embedding table, with the rows of `more` appended.
    func table(_ rows: Int, _ width: Int, more: Tensor? = nil) throws -> TableWeights {
        try check("weight", [rows, width])
        guard !isDescription else {
            return TableWeights(rows: rows, width: width, storage: Nothing())
        }
        let own = try tensor("weight", [rows, width])
        guard let more else { return backend.prepareTable(own) }
        let shape = [rows + more.shape[0], width]
        return backend.prepareTable(Tensor(chaining: [own, more], shape: shape))
    }
}
