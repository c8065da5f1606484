/// A layer of half of an autoencoder. A group norm counts as the beginning of its layer, so between two layers the
/// state of a tile is one activation and what a residual block will add.
enum TileLayer {
    case pointwise(Linear)
    /// 3 × 3 convolution; the norm, if any, is followed by a SiLU.
    case convolution(GroupNorm?, Conv2d)
    /// The first half of a residual block: keeps its input, after the shortcut if there is one.
    case branch(GroupNorm, Conv2d, shortcut: Linear?)
    /// The second half of a residual block: adds what the first half kept.
    case join(GroupNorm, Conv2d)
    case attention(VAEAttention)
    case doubling(Upsample)
    case halving(Downsample)

    /// The norm that the layer begins with.
    var norm: GroupNorm? {
        switch self {
        case .pointwise, .doubling, .halving: nil
        case .convolution(let norm, _): norm
        case .branch(let norm, _, _), .join(let norm, _): norm
        case .attention(let attention): attention.norm
        }
    }
}

extension VAEDecoder {
    /// The layers in the order of `VAEConfig.decoder.layers`.
    var tileLayers: [TileLayer] {
        var all: [TileLayer] = []
        if let postQuant { all.append(.pointwise(postQuant)) }
        all += [.convolution(nil, convIn)] + mid.tileLayers
        for block in up {
            all += block.resnets.flatMap(\.tileLayers)
            if let upsample = block.upsample { all.append(.doubling(upsample)) }
        }
        return all + [.convolution(normOut, convOut)]
    }
}

extension VAEEncoder {
    /// The layers in the order of `VAEConfig.encoder.layers`.
    var tileLayers: [TileLayer] {
        var all: [TileLayer] = [.convolution(nil, convIn)]
        for block in down {
            all += block.resnets.flatMap(\.tileLayers)
            if let downsample = block.downsample { all.append(.halving(downsample)) }
        }
        all += mid.tileLayers + [.convolution(normOut, convOut)]
        if let quant { all.append(.pointwise(quant)) }
        return all
    }
}

extension VAEMidBlock {
    fileprivate var tileLayers: [TileLayer] {
        var all = before.tileLayers
        if let attention { all.append(.attention(attention)) }
        return all + after.tileLayers
    }
}

extension ResBlock {
    fileprivate var tileLayers: [TileLayer] {
        [.branch(norm1, conv1, shortcut: shortcut), .join(norm2, conv2)]
    }
}

extension VAEAttention {
    /// Adds the attention's output to every pixel.
    ///
    /// - Parameters:
    ///   - x: `[1, height, width, channels]`
    ///   - keys: `[1, tokens, channels]`, before the norm; nil uses the pixels of `x`
    ///   - moments: the moments that the norm normalises by
    /// - Returns: `[1, height, width, channels]`
    func mix(_ x: Activation, keys: Activation?, by moments: [Moments]) -> Activation {
        let (pixels, width) = (x.shape[1] * x.shape[2], x.shape[3])
        let tokens = x.viewed(as: [1, pixels, width])
        let own = queriesKeysValues(norm.normalise(tokens, by: moments))
        let all = keys.map { queriesKeysValues(norm.normalise($0, by: moments)) } ?? own
        let mixed = out.backend.attention(
            own.columns(from: 0, count: width),
            all.columns(from: width, count: width),
            all.columns(from: 2 * width, count: width),
            heads: 1,
            causal: false
        )
        return out(mixed, plus: tokens).viewed(as: x.shape)
    }
}
