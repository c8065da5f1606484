/// One resolution of a UNet's down path.
struct UNetDownBlock {
    let resnets: [ResBlock]
    let attentions: [SpatialTransformer]
    let downsample: Downsample?

    init(_ weights: ModuleWeights, level: Int, config: UNetConfig) throws {
        let shape = config.levels[level]
        let inputs = level == 0 ? shape.channels : config.levels[level - 1].channels
        resnets = try (0..<shape.layers).map {
            try ResBlock(
                weights["resnets"][$0],
                $0 == 0 ? inputs : shape.channels,
                shape.channels,
                timeWidth: config.timeWidth,
                groups: config.normGroups,
                epsilon: config.normEpsilon
            )
        }
        attentions = try shape.downDepths.indices.map {
            try SpatialTransformer(
                weights["attentions"][$0],
                channels: shape.channels,
                heads: shape.heads,
                depth: shape.downDepths[$0],
                contextWidth: shape.contextWidth,
                config: config
            )
        }
        downsample =
            level == config.levels.count - 1
            ? nil
            : try Downsample(
                weights,
                shape.channels,
                // Diffusers pads at the bottom and on the right if the convolution itself does not pad.
                padding: config.downsamplePadding == 0 ? .bottomRight : .all(1)
            )
    }

    /// - Returns: the input of the next level, and each layer's skip connection for the up path
    func callAsFunction(
        _ x: Activation,
        time: Activation,
        context: PromptContext
    ) -> (Activation, skips: [Activation]) {
        var (h, skips) = (x, [Activation]())
        for i in resnets.indices {
            h = resnets[i](h, time: time)
            if !attentions.isEmpty { h = attentions[i](h, context: context) }
            skips.append(h)
        }
        if let downsample {
            h = downsample(h)
            skips.append(h)
        }
        return (h, skips)
    }
}

/// The lowest resolution of a UNet. Distilled models have only its first residual block, or nothing here.
struct UNetMidBlock {
    let before: ResBlock
    let rest: (attention: SpatialTransformer, after: ResBlock)?

    /// Reads a block; `depth` is the number of transformer blocks in its attention, nil without attention.
    init(_ weights: ModuleWeights, depth: Int?, config: UNetConfig) throws {
        let shape = config.levels[config.levels.count - 1]
        func resBlock(_ index: Int) throws -> ResBlock {
            try ResBlock(
                weights["resnets"][index],
                shape.channels,
                shape.channels,
                timeWidth: config.timeWidth,
                groups: config.normGroups,
                epsilon: config.normEpsilon
            )
        }
        before = try resBlock(0)
        guard let depth else {
            rest = nil
            return
        }
        let attention = try SpatialTransformer(
            weights["attentions"][0],
            channels: shape.channels,
            heads: shape.heads,
            depth: depth,
            contextWidth: shape.contextWidth,
            config: config
        )
        rest = (attention, try resBlock(1))
    }

    func callAsFunction(_ x: Activation, time: Activation, context: PromptContext) -> Activation {
        let h = before(x, time: time)
        guard let rest else { return h }
        return rest.after(rest.attention(h, context: context), time: time)
    }
}

/// One resolution of a UNet's up path.
struct UNetUpBlock {
    let resnets: [ResBlock]
    let attentions: [SpatialTransformer]
    let upsample: Upsample?

    /// Reads a block; `skips` are the channels of its skip connections, in the order in which they are used.
    init(
        _ weights: ModuleWeights,
        level: Int,
        inputs: Int,
        skips: [Int],
        config: UNetConfig
    ) throws {
        let shape = config.levels[level]
        resnets = try skips.indices.map {
            try ResBlock(
                weights["resnets"][$0],
                ($0 == 0 ? inputs : shape.channels) + skips[$0],
                shape.channels,
                timeWidth: config.timeWidth,
                groups: config.normGroups,
                epsilon: config.normEpsilon
            )
        }
        attentions = try shape.upDepths.indices.map {
            try SpatialTransformer(
                weights["attentions"][$0],
                channels: shape.channels,
                heads: shape.heads,
                depth: shape.upDepths[$0],
                contextWidth: shape.contextWidth,
                config: config
            )
        }
        upsample = level == 0 ? nil : try Upsample(weights, shape.channels)
    }

    /// Pops the block's skip connections off the end of `skips`.
    func callAsFunction(
        _ x: Activation,
        skips: inout [Activation],
        time: Activation,
        context: PromptContext
    ) -> Activation {
        var h = x
        for i in resnets.indices {
            let joined = resnets[i].conv1.backend.concatChannels(h, skips.removeLast())
            h = resnets[i](joined, time: time)
            if !attentions.isEmpty { h = attentions[i](h, context: context) }
        }
        guard let upsample, let next = skips.last else { return h }
        return upsample(h, height: next.shape[1], width: next.shape[2])
    }
}
