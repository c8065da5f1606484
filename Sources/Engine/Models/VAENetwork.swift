/// Epsilon of all group norms in AutoencoderKL.
private let epsilon: Float = 1e-6

/// Maps a picture to the mean and log-variance of its latent.
struct VAEEncoder {
    let convIn: Conv2d
    let down: [(resnets: [ResBlock], downsample: Downsample?)]
    let mid: VAEMidBlock
    let normOut: GroupNorm
    let convOut: Conv2d
    let quant: Linear?

    init(_ root: ModuleWeights, config: VAEConfig) throws {
        let weights = root["encoder"]
        let channels = config.channels
        let (first, last) = (channels[0], channels[channels.count - 1])
        convIn = try weights["conv_in"].conv3x3(config.imageChannels, first)
        down = try channels.indices.map { level in
            let block = weights["down_blocks"][level]
            let inputs = channels[max(0, level - 1)]
            let resnets = try (0..<config.layers).map {
                try ResBlock(
                    block["resnets"][$0],
                    $0 == 0 ? inputs : channels[level],
                    channels[level],
                    timeWidth: nil,
                    groups: config.normGroups,
                    epsilon: epsilon
                )
            }
            let halve =
                level < channels.count - 1
                ? try Downsample(block, channels[level], padding: .bottomRight) : nil
            return (resnets, halve)
        }
        mid = try VAEMidBlock(weights["mid_block"], last, config: config)
        normOut = try weights["conv_norm_out"].groupNorm(
            last,
            groups: config.normGroups,
            epsilon: epsilon
        )
        convOut = try weights["conv_out"].conv3x3(last, 2 * config.latentChannels)
        quant =
            config.quantConv
            ? try root["quant_conv"].pointwise(2 * config.latentChannels, 2 * config.latentChannels)
            : nil
    }

    /// `[n, height, width, 3]` to `[n, height / factor, width / factor, 2 · latentChannels]`: the
    /// mean, then the log-variance. Checks for cancellation between blocks.
    func callAsFunction(
        _ picture: Activation,
        _ cancellation: Cancellation
    ) throws(ComputationCancelled) -> Activation {
        var h = convIn(picture)
        for block in down {
            for resnet in block.resnets {
                try cancellation.check()
                resnet.replace(&h)
            }
            if let downsample = block.downsample { h = downsample(h) }
        }
        h = convOut(normOut(mid(h), then: .silu))
        return quant.map { $0(h) } ?? h
    }
}

/// Maps a latent to a picture.
struct VAEDecoder {
    let postQuant: Linear?
    let convIn: Conv2d
    let mid: VAEMidBlock
    let up: [(resnets: [ResBlock], upsample: Upsample?)]
    let normOut: GroupNorm
    let convOut: Conv2d

    init(_ root: ModuleWeights, config: VAEConfig) throws {
        let weights = root["decoder"]
        let channels = Array(config.channels.reversed())
        let (first, last) = (channels[0], channels[channels.count - 1])
        postQuant =
            config.postQuantConv
            ? try root["post_quant_conv"].pointwise(config.latentChannels, config.latentChannels)
            : nil
        convIn = try weights["conv_in"].conv3x3(config.latentChannels, first)
        mid = try VAEMidBlock(weights["mid_block"], first, config: config)
        up = try channels.indices.map { level in
            let block = weights["up_blocks"][level]
            let inputs = channels[max(0, level - 1)]
            let resnets = try (0...config.layers).map {
                try ResBlock(
                    block["resnets"][$0],
                    $0 == 0 ? inputs : channels[level],
                    channels[level],
                    timeWidth: nil,
                    groups: config.normGroups,
                    epsilon: epsilon
                )
            }
            let double = level < channels.count - 1 ? try Upsample(block, channels[level]) : nil
            return (resnets, double)
        }
        normOut = try weights["conv_norm_out"].groupNorm(
            last,
            groups: config.normGroups,
            epsilon: epsilon
        )
        convOut = try weights["conv_out"].conv3x3(last, config.outChannels)
    }

    /// `[n, height, width, latentChannels]`, unscaled, to `[n, factor · height, factor · width, 3]`. Checks for
    /// cancellation between blocks.
    func callAsFunction(
        _ latent: Activation,
        _ cancellation: Cancellation
    ) throws(ComputationCancelled) -> Activation {
        var h = mid(convIn(postQuant.map { $0(latent) } ?? latent))
        for block in up {
            for resnet in block.resnets {
                try cancellation.check()
                resnet.replace(&h)
            }
            if let upsample = block.upsample {
                h = upsample(h, height: 2 * h.shape[1], width: 2 * h.shape[2])
            }
        }
        return convOut(normOut(h, then: .silu, overwriting: true))
    }
}

/// The blocks at the coarsest resolution of both halves.
struct VAEMidBlock {
    let before: ResBlock
    let attention: VAEAttention?
    let after: ResBlock

    init(_ weights: ModuleWeights, _ channels: Int, config: VAEConfig) throws {
        func resBlock(_ index: Int) throws -> ResBlock {
            try ResBlock(
                weights["resnets"][index],
                channels,
                channels,
                timeWidth: nil,
                groups: config.normGroups,
                epsilon: epsilon
            )
        }
        before = try resBlock(0)
        attention =
            config.midAttention
            ? try VAEAttention(weights["attentions"][0], channels, groups: config.normGroups) : nil
        after = try resBlock(1)
    }

    func callAsFunction(_ x: Activation) -> Activation {
        let h = before(x)
        return after(attention?(h) ?? h)
    }
}

/// Attention from every pixel to every pixel, with one head.
struct VAEAttention {
    let norm: GroupNorm
    let queriesKeysValues: Linear
    let out: Linear

    init(_ weights: ModuleWeights, _ channels: Int, groups: Int) throws {
        norm = try weights["group_norm"].groupNorm(channels, groups: groups, epsilon: epsilon)
        // Checkpoints from before diffusers 0.15 use other names.
        let old = weights.has("query.weight")
        queriesKeysValues = try weights.sideBySide(
            old ? ["query", "key", "value"] : ["to_q", "to_k", "to_v"],
            channels,
            channels,
            bias: true
        )
        out = try (old ? weights["proj_attn"] : weights["to_out"][0]).linear(channels, channels)
    }

    func callAsFunction(_ x: Activation) -> Activation {
        let (n, pixels, width) = (x.shape[0], x.shape[1] * x.shape[2], x.shape[3])
        let tokens = x.viewed(as: [n, pixels, width])
        let all = queriesKeysValues(norm(tokens))
        let mixed = out.backend.attention(
            all.columns(from: 0, count: width),
            all.columns(from: width, count: width),
            all.columns(from: 2 * width, count: width),
            heads: 1,
            causal: false
        )
        return out(mixed, plus: tokens).viewed(as: x.shape)
    }
}
