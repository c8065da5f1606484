/// Transformer blocks over the pixels of a picture, conditioned on the prompt.
struct SpatialTransformer {
    let norm: GroupNorm
    let projectIn: Linear
    let blocks: [TransformerBlock]
    let projectOut: Linear

    init(
        _ weights: ModuleWeights,
        channels: Int,
        heads: Int,
        depth: Int,
        contextWidth: Int,
        config: UNetConfig
    ) throws {
        norm = try weights["norm"].groupNorm(channels, groups: config.normGroups, epsilon: 1e-6)
        func projection(_ name: String) throws -> Linear {
            config.linearProjection
                ? try weights[name].linear(channels, channels)
                : try weights[name].pointwise(channels, channels)
        }
        projectIn = try projection("proj_in")
        blocks = try (0..<depth).map {
            try TransformerBlock(
                weights["transformer_blocks"][$0],
                width: channels,
                heads: heads,
                contextWidth: contextWidth
            )
        }
        projectOut = try projection("proj_out")
    }

    /// - Parameters:
    ///   - x: `[batch, height, width, channels]`
    ///   - context: the prompt, `[batch, tokens, contextWidth]`
    /// - Returns: the same shape as `x`
    func callAsFunction(_ x: Activation, context: PromptContext) -> Activation {
        let (n, pixels, channels) = (x.shape[0], x.shape[1] * x.shape[2], x.shape[3])
        var h = projectIn(norm(x)).viewed(as: [n, pixels, channels])
        for block in blocks { h = block(h, context: context) }
        return projectOut(h, plus: x.viewed(as: [n, pixels, channels])).viewed(as: x.shape)
    }
}

/// Self-attention, cross-attention to the prompt, and a gated feed-forward layer.
struct TransformerBlock {
    let norm1: LayerNorm
    let selfAttention: SelfAttention
    let norm2: LayerNorm
    let crossAttention: CrossAttention
    let norm3: LayerNorm
    let widen: GatedLinear
    let narrow: Linear

    init(_ weights: ModuleWeights, width: Int, heads: Int, contextWidth: Int) throws {
        norm1 = try weights["norm1"].layerNorm(width)
        selfAttention = try SelfAttention(weights["attn1"], width: width, heads: heads)
        norm2 = try weights["norm2"].layerNorm(width)
        crossAttention = try CrossAttention(
            weights["attn2"],
            width: width,
            heads: heads,
            contextWidth: contextWidth
        )
        norm3 = try weights["norm3"].layerNorm(width)
        widen = try weights["ff"]["net"][0]["proj"].gatedLinear(width, 4 * width)
        narrow = try weights["ff"]["net"][2].linear(4 * width, width)
    }

    /// `[batch, tokens, width]` to the same shape.
    func callAsFunction(_ x: Activation, context: PromptContext) -> Activation {
        var h = selfAttention(norm1(x), plus: x)
        h = crossAttention(norm2(h), context: context, plus: h)
        return narrow(widen(norm3(h)), plus: h)
    }
}

/// Attention within a sequence.
struct SelfAttention {
    let queriesKeysValues: Linear
    let out: Linear
    let heads: Int
    let width: Int

    init(_ weights: ModuleWeights, width: Int, heads: Int) throws {
        queriesKeysValues = try weights.sideBySide(
            ["to_q", "to_k", "to_v"],
            width,
            width,
            bias: false
        )
        out = try weights["to_out"][0].linear(width, width)
        self.heads = heads
        self.width = width
    }

    func callAsFunction(_ x: Activation, plus residual: Activation) -> Activation {
        let all = queriesKeysValues(x)
        let mixed = out.backend.attention(
            all.columns(from: 0, count: width),
            all.columns(from: width, count: width),
            all.columns(from: 2 * width, count: width),
            heads: heads,
            causal: false
        )
        return out(mixed, plus: residual)
    }
}

/// Attention from a sequence to the prompt.
struct CrossAttention {
    let queries: Linear
    let keysValues: Linear
    let out: Linear
    let heads: Int
    let width: Int

    init(_ weights: ModuleWeights, width: Int, heads: Int, contextWidth: Int) throws {
        queries = try weights["to_q"].linear(width, width, bias: false)
        keysValues = try weights.sideBySide(["to_k", "to_v"], contextWidth, width, bias: false)
        out = try weights["to_out"][0].linear(width, width)
        self.heads = heads
        self.width = width
    }

    func callAsFunction(
        _ x: Activation,
        context: PromptContext,
        plus residual: Activation
    ) -> Activation {
        let both = context.projected(by: keysValues)
        let mixed = out.backend.attention(
            queries(x).columns,
            both.columns(from: 0, count: width),
            both.columns(from: width, count: width),
            heads: heads,
            causal: false
        )
        return out(mixed, plus: residual)
    }
}
