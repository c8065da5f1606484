/// UNet2DConditionModel: predicts noise from a latent, a timestep and a prompt.
struct UNetNetwork {
    let config: UNetConfig
    let timeEmbedding: EmbeddingMLP
    /// Projection of the embedded guidance scale, if the model was distilled with guidance.
    let guidanceProjection: Linear?
    let addedEmbedding: EmbeddingMLP?
    let convIn: Conv2d
    let down: [UNetDownBlock]
    let mid: UNetMidBlock?
    let up: [UNetUpBlock]
    let normOut: GroupNorm
    let convOut: Conv2d

    init(_ weights: ModuleWeights, config: UNetConfig) throws {
        self.config = config
        let levels = config.levels
        let first = levels[0].channels
        timeEmbedding = try EmbeddingMLP(
            weights["time_embedding"],
            inputs: first,
            width: config.timeWidth
        )
        guidanceProjection = try config.guidanceWidth.map {
            try weights["time_embedding"]["cond_proj"].linear($0, first, bias: false)
        }
        addedEmbedding = try config.textTime.map {
            try EmbeddingMLP(
                weights["add_embedding"],
                inputs: $0.inputs,
                width: config.timeWidth
            )
        }
        convIn = try weights["conv_in"].conv3x3(config.inChannels, first)
        down = try levels.indices.map {
            try UNetDownBlock(weights["down_blocks"][$0], level: $0, config: config)
        }
        switch config.middle {
        case .none: mid = nil
        case .residual:
            mid = try UNetMidBlock(weights["mid_block"], depth: nil, config: config)
        case .attention(let depth):
            mid = try UNetMidBlock(weights["mid_block"], depth: depth, config: config)
        }

        // The channels of the skip connections; the up path pops them off the end.
        var left = [first]
        for (i, level) in levels.enumerated() {
            left += Array(repeating: level.channels, count: level.layers)
            if i < levels.count - 1 { left.append(level.channels) }
        }
        var blocks: [UNetUpBlock] = []
        for (i, level) in levels.indices.reversed().enumerated() {
            let skips = Array(left.suffix(levels[level].layers + 1).reversed())
            left.removeLast(skips.count)
            let inputs = levels[min(level + 1, levels.count - 1)].channels
            blocks.append(
                try UNetUpBlock(
                    weights["up_blocks"][i],
                    level: level,
                    inputs: inputs,
                    skips: skips,
                    config: config
                )
            )
        }
        up = blocks
        normOut = try weights["conv_norm_out"].groupNorm(
            first,
            groups: config.normGroups,
            epsilon: config.normEpsilon
        )
        convOut = try weights["conv_out"].conv3x3(first, config.outChannels)
    }

    /// - Parameters:
    ///   - x: `[n, height, width, inChannels]`
    ///   - timestep: a timestep of the training schedule, the same for the whole batch
    ///   - context: the prompt, `[n, tokens, crossAttentionDim]`
    ///   - added: `[n, pooled + sizes · width]`, see `TextTime`
    ///   - guidance: the embedded guidance scale, `[n, guidanceWidth]`, if the configuration needs it
    ///   - cancellation: checked between blocks
    /// - Returns: `[n, height, width, outChannels]`
    /// - Throws: `ComputationCancelled`
    func callAsFunction(
        _ x: Activation,
        timestep: Float,
        context: PromptContext,
        added: Activation?,
        guidance: Activation?,
        cancellation: Cancellation
    ) throws(ComputationCancelled) -> Activation {
        let backend = convIn.backend
        let sinusoids = config.sinusoids(
            of: Array(repeating: timestep, count: x.shape[0]),
            width: config.levels[0].channels
        )
        var sample = backend.upload(sinusoids)
        if let guidanceProjection, let guidance {
            sample = backend.add(sample, guidanceProjection(guidance))
        }
        var embedding = timeEmbedding(sample)
        if let addedEmbedding, let added {
            embedding = backend.add(embedding, addedEmbedding(added))
        }
        // Every residual block begins with this SiLU, so it is computed once.
        let time = backend.activate(embedding, .silu)

        var h = convIn(x)
        var skips = [h]
        for block in down {
            try cancellation.check()
            let (next, left) = block(h, time: time, context: context)
            h = next
            skips += left
        }
        try cancellation.check()
        if let mid { h = mid(h, time: time, context: context) }
        for block in up {
            try cancellation.check()
            h = block(h, skips: &skips, time: time, context: context)
        }
        return convOut(normOut(h, then: .silu))
    }
}
