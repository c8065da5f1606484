/// `x · Wᵀ + b` along the last axis.
struct Linear {
    let weights: LinearWeights
    let backend: any Backend

    func callAsFunction(
        _ x: Activation,
        then f: Nonlinearity = .identity,
        plus residual: Activation? = nil
    ) -> Activation {
        backend.linear(x, weights, then: f, with: residual.map(Operand.plus))
    }
}

/// A linear layer that is gated by another one: GEGLU (Shazeer 2020).
struct GatedLinear {
    let panels: [GatedWeights]
    let backend: any Backend

    func callAsFunction(_ x: Activation) -> Activation { backend.gated(x, panels) }
}

/// A convolution with zero padding.
struct Conv2d {
    let weights: ConvWeights
    let padding: Padding
    let backend: any Backend

    func callAsFunction(_ x: Activation, plus residual: Activation? = nil) -> Activation {
        backend.conv2d(x, weights, padding: padding, residual: residual)
    }
}

/// Normalises each group of channels of each picture.
struct GroupNorm {
    let weights: NormWeights
    let groups: Int
    let epsilon: Float
    let backend: any Backend

    /// Normalises `x` plus `channelBias`, `[batch, channels]`; in place if `overwriting`.
    func callAsFunction(
        _ x: Activation,
        plus channelBias: Activation? = nil,
        then f: Nonlinearity = .identity,
        overwriting: Bool = false
    ) -> Activation {
        backend.groupNorm(
            x,
            weights,
            groups: groups,
            epsilon: epsilon,
            plus: channelBias,
            then: f,
            overwriting: overwriting
        )
    }
}

extension GroupNorm {
    /// Normalises by the given moments of each group.
    func normalise(
        _ x: Activation,
        by moments: [Moments],
        then f: Nonlinearity = .identity,
        overwriting: Bool = false
    ) -> Activation {
        backend.normalise(
            x,
            weights,
            epsilon: epsilon,
            by: moments,
            then: f,
            overwriting: overwriting
        )
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

/// Linear, SiLU, linear: turns timesteps and pooled prompts into embeddings.
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
