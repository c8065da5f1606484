// The layers of an autoencoder as tiles pass through them: how far each one reaches and what it costs.

extension VAEConfig {
    /// The decoder, for tiled evaluation.
    package var decoder: TiledNetwork { network(.decoder) }

    /// The encoder, for tiled evaluation.
    package var encoder: TiledNetwork { network(.encoder) }

    /// What tiled evaluation needs to know about half of the autoencoder.
    package func network(_ half: AutoencoderHalf) -> TiledNetwork {
        let sketches = half == .decoder ? decoderSketch : encoderSketch
        let layers = measured(sketches, half)
        let attention = sketches.firstIndex { $0.kind == .attention }.map { place in
            layers[..<place].count { $0.hasNorm }
        }
        let unit = half == .decoder ? 1 : factor
        return TiledNetwork(
            half: half,
            norms: layers.count { $0.hasNorm },
            groups: normGroups,
            attention: attention,
            width: channels[channels.count - 1],
            halo: ((layers.first?.reach ?? 0) + unit - 1) / unit,
            layers: layers
        )
    }

    /// Mirrors the cases of `TileLayer`.
    private enum Kind {
        case pointwise, convolution, branch, join, attention, doubling, halving

        var hasNorm: Bool { self == .branch || self == .join || self == .attention }
    }

    private struct Sketch {
        let kind: Kind
        /// Multiplications per pixel of the input.
        let work: Int
        /// Channels of the input, plus those of what a residual block will add.
        let channels: Int
        /// Whether a convolution begins with a norm.
        var hasNorm = false
    }

    private func convolution(_ inputs: Int, _ outputs: Int, hasNorm: Bool = false) -> Sketch {
        Sketch(
            kind: .convolution,
            work: 9 * inputs * outputs,
            channels: inputs,
            hasNorm: hasNorm
        )
    }

    private func pointwise(_ width: Int) -> Sketch {
        Sketch(kind: .pointwise, work: width * width, channels: width)
    }

    private func resBlock(_ inputs: Int, _ outputs: Int) -> [Sketch] {
        let shortcut = inputs == outputs ? 0 : inputs * outputs
        return [
            Sketch(kind: .branch, work: 9 * inputs * outputs + shortcut, channels: inputs),
            Sketch(kind: .join, work: 9 * outputs * outputs, channels: 2 * outputs),
        ]
    }

    private var middleSketch: [Sketch] {
        let width = channels[channels.count - 1]
        // Queries, keys, values and output. The cost of the attention itself depends on the number of tokens.
        let attention =
            midAttention ? [Sketch(kind: .attention, work: 4 * width * width, channels: width)] : []
        return resBlock(width, width) + attention + resBlock(width, width)
    }

    private var decoderSketch: [Sketch] {
        let channels = Array(channels.reversed())
        var all: [Sketch] = []
        if postQuantConv {
            all.append(pointwise(latentChannels))
        }
        all.append(convolution(latentChannels, channels[0]))
        all += middleSketch
        for level in channels.indices {
            for place in 0...layers {
                let inputs = place == 0 ? channels[max(0, level - 1)] : channels[level]
                all += resBlock(inputs, channels[level])
            }
            if level < channels.count - 1 {
                let width = channels[level]
                all.append(Sketch(kind: .doubling, work: 16 * width * width, channels: width))
            }
        }
        return all + [convolution(channels[channels.count - 1], outChannels, hasNorm: true)]
    }

    private var encoderSketch: [Sketch] {
        var all = [convolution(imageChannels, channels[0])]
        for level in channels.indices {
            for place in 0..<layers {
                let inputs = place == 0 ? channels[max(0, level - 1)] : channels[level]
                all += resBlock(inputs, channels[level])
            }
            if level < channels.count - 1 {
                let width = channels[level]
                all.append(Sketch(kind: .halving, work: 9 * width * width / 4, channels: width))
            }
        }
        let width = channels[channels.count - 1]
        all += middleSketch + [convolution(width, 2 * latentChannels, hasNorm: true)]
        if quantConv {
            all.append(pointwise(2 * latentChannels))
        }
        return all
    }

    /// Computes reaches from the last layer back to the first. Every 3 × 3 convolution adds a pixel, one after
    /// upsampling half a pixel, and a downsampler doubles the reach and adds two. Its reach is even, because tiles must
    /// begin and end on the downsampling grid of the whole picture.
    private func measured(_ sketches: [Sketch], _ half: AutoencoderHalf) -> [TiledNetwork.Layer] {
        var (reach, scale) = (0, half == .decoder ? Double(factor) : 1)
        var layers: [TiledNetwork.Layer] = []
        for sketch in sketches.reversed() {
            switch sketch.kind {
            case .pointwise, .attention: break
            case .convolution, .branch, .join: reach += 1
            case .doubling: (reach, scale) = ((reach + 2) / 2, scale / 2)
            case .halving: (reach, scale) = (2 * reach + 2, scale * 2)
            }
            layers.append(
                TiledNetwork.Layer(
                    hasNorm: sketch.hasNorm || sketch.kind.hasNorm,
                    reach: reach,
                    scale: scale,
                    work: Double(sketch.work) * scale * scale,
                    numbers: Double(sketch.channels) * scale * scale
                )
            )
        }
        return layers.reversed()
    }
}
