/// `x · Wᵀ + b` along the last axis.
struct Linear {
    let weights: LinearWeights
    let backend: any Backend

    func callAsFunction(
        _ x: Activation,
        then f: Nonlinearity = .identity,
        plus residual: Activation? = nil
    ) -> Activation {
        backend.linear(x, weights, then: f, residual: residual)
    }
}

/// A linear layer whose one half gates the other: GEGLU.
struct GatedLinear {
    let weights: LinearWeights
    let backend: any Backend

    func callAsFunction(_ x: Activation) -> Activation { backend.gatedLinear(x, weights) }
}

/// A convolution over zero padding.
struct Conv2d {
    let weights: ConvWeights
    let stride: Int
    let padding: Padding
    let backend: any Backend

    /// Convolves; `channelBias`, `[batch, outputs]`, is added to every pixel of a picture.
    func callAsFunction(
        _ x: Activation,
        channelBias: Activation? = nil,
        plus residual: Activation? = nil
    ) -> Activation {
        backend.conv2d(
            x,
            weights,
            stride: stride,
            padding: padding,
            channelBias: channelBias,
            residual: residual
        )
    }
}

/// Normalises each group of channels of each picture.
struct GroupNorm {
    let weights: NormWeights
    let groups: Int
    let epsilon: Float
    let backend: any Backend

    func callAsFunction(_ x: Activation, then f: Nonlinearity = .identity) -> Activation {
        backend.groupNorm(x, weights, groups: groups, epsilon: epsilon, then: f)
    }
}

/// Normalises the last axis.
struct LayerNorm {
    let weights: NormWeights
    let epsilon: Float
    let backend: any Backend

    func callAsFunction(_ x: Activation) -> Activation {
        backend.layerNorm(x, weights, epsilon: epsilon)
    }
}

/// Linear, SiLU, linear: how timesteps and pooled prompts become embeddings.
struct EmbeddingMLP {
    let linear1: Linear
    let linear2: Linear

    init(_ weights: ModuleWeights, inputs: Int, width: Int) throws {
        linear1 = try weights["linear_1"].linear(inputs, width)
        linear2 = try weights["linear_2"].linear(width, width)
    }

    /// `[batch, inputs]` to `[batch, width]`.
    func callAsFunction(_ x: Activation) -> Activation { linear2(linear1(x, then: .silu)) }
}
