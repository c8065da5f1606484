import Foundation

/// What `unet/config.json` says: the shape of a UNet2DConditionModel, from its file alone.
package struct UNetConfig: Sendable, Equatable {
    /// One resolution, from the finest to the coarsest.
    struct Level: Sendable, Equatable {
        let channels: Int
        /// Residual blocks on the down path; one more on the up path.
        let layers: Int
        let downAttention: Bool
        let upAttention: Bool
        let heads: Int
        /// Transformer blocks per attention layer.
        let depth: Int
        let contextWidth: Int
    }

    /// SDXL's addition to the timestep: the pooled prompt and six sizes in pixels.
    struct TextTime: Sendable, Equatable {
        let pooledWidth: Int
        /// Width of the sinusoidal embedding of one size.
        let sizeWidth: Int
        var inputs: Int { pooledWidth + TextTime.sizes * sizeWidth }

        /// Original height and width, top and left of the crop, target height and width.
        static let sizes = 6
    }

    /// Side of the latents it was trained on, in latent pixels.
    package let sampleSize: Int
    /// Channels of the input latents.
    package let inChannels: Int
    /// Channels of the prediction.
    package let outChannels: Int
    /// Width of the prompt embedding.
    package let crossAttentionDim: Int
    /// Whether it needs six sizes and a pooled prompt in addition to the prompt: SDXL.
    package var needsTimeIDs: Bool { textTime != nil }
    /// Width of the pooled prompt embedding, nil where there is none.
    package var pooledWidth: Int? { textTime?.pooledWidth }

    let levels: [Level]
    let textTime: TextTime?
    let linearProjection: Bool
    let downsamplePadding: Int
    let normGroups: Int
    let normEpsilon: Float
    let flipSinToCos: Bool
    let frequencyShift: Float
    /// Width of the timestep embedding.
    var timeWidth: Int { 4 * levels[0].channels }

    /// Reads a configuration; the weights are not touched.
    ///
    /// Throws `InputError` for a missing file, and for an option whose value is not supported or
    /// that is not known at all.
    package init(file: String) throws {
        var config = try ConfigReader(file: file)
        try self.init(&config)
        try config.finish()
    }

    init(_ config: inout ConfigReader) throws {
        let channels = try config.ints(
            "block_out_channels",
            default: [320, 640, 1280, 1280],
            in: ConfigRange.channels,
            maxCount: ConfigRange.levels
        )
        let count = channels.count
        func perLevel(
            _ key: String,
            default fallback: Int,
            in range: ClosedRange<Int>
        ) throws -> [Int] {
            let values = try config.ints(
                key,
                default: [fallback],
                in: range,
                maxCount: ConfigRange.levels
            )
            if values.count == 1 { return Array(repeating: values[0], count: count) }
            guard values.count == count else {
                throw config.fault(
                    key,
                    "has \(values.count) entries for \(count) blocks",
                    fix: "Give one number, or one for each of block_out_channels"
                )
            }
            return values
        }
        let layers = try perLevel("layers_per_block", default: 2, in: ConfigRange.layers)
        // Diffusers' own naming: this is the number of heads, not their width.
        let heads = try perLevel("attention_head_dim", default: 8, in: ConfigRange.heads)
        let depths = try perLevel(
            "transformer_layers_per_block",
            default: 1,
            in: ConfigRange.depth
        )
        let widths = try perLevel(
            "cross_attention_dim",
            default: 1280,
            in: ConfigRange.channels
        )
        let downTypes = try config.strings(
            "down_block_types",
            default: Array(repeating: "CrossAttnDownBlock2D", count: 3) + ["DownBlock2D"]
        )
        let upTypes = try config.strings(
            "up_block_types",
            default: ["UpBlock2D"] + Array(repeating: "CrossAttnUpBlock2D", count: 3)
        )
        let down = try Self.attention(
            downTypes,
            in: config,
            key: "down_block_types",
            count: count,
            kinds: ("CrossAttnDownBlock2D", "DownBlock2D")
        )
        let up = try Self.attention(
            upTypes,
            in: config,
            key: "up_block_types",
            count: count,
            kinds: ("CrossAttnUpBlock2D", "UpBlock2D")
        )
        levels = (0..<count).map { i in
            Level(
                channels: channels[i],
                layers: layers[i],
                downAttention: down[i],
                upAttention: up[count - 1 - i],
                heads: heads[i],
                depth: depths[i],
                contextWidth: widths[i]
            )
        }
        crossAttentionDim = widths[0]

        let sides = try config.ints(
            "sample_size",
            default: [64],
            in: ConfigRange.latentSide,
            maxCount: 2
        )
        sampleSize = sides.max() ?? 64
        inChannels = try config.int("in_channels", default: 4, in: ConfigRange.latentChannels)
        outChannels = try config.int("out_channels", default: 4, in: ConfigRange.latentChannels)
        linearProjection = try config.bool("use_linear_projection", default: false)
        downsamplePadding = try config.int("downsample_padding", default: 1, in: 0...1)
        normGroups = try config.int("norm_num_groups", default: 32, in: ConfigRange.channels)
        normEpsilon = try config.float("norm_eps", default: 1e-5, in: ConfigRange.epsilon)
        flipSinToCos = try config.bool("flip_sin_to_cos", default: true)
        frequencyShift = try config.float("freq_shift", default: 0, in: 0...1)
        textTime = try Self.textTime(&config)
        try Self.refuseOthers(&config)
        try check(config)
    }

    /// Which blocks attend to the prompt.
    private static func attention(
        _ types: [String],
        in config: ConfigReader,
        key: String,
        count: Int,
        kinds: (attending: String, plain: String)
    ) throws -> [Bool] {
        guard types.count == count else {
            throw config.fault(
                key,
                "has \(types.count) entries for \(count) blocks",
                fix: "Give one for each of block_out_channels"
            )
        }
        return try types.map { type in
            guard type == kinds.attending || type == kinds.plain else {
                throw config.fault(
                    key,
                    "has the unknown block '\(type)'",
                    fix: "Supported are \(kinds.attending) and \(kinds.plain)"
                )
            }
            return type == kinds.attending
        }
    }

    private static func textTime(_ config: inout ConfigReader) throws -> TextTime? {
        try config.expect("addition_embed_type", [.string("text_time")])
        let width = try config.optionalInt("addition_time_embed_dim", in: ConfigRange.channels)
        let inputs = try config.optionalInt(
            "projection_class_embeddings_input_dim",
            in: 1...(TextTime.sizes + 1) * ConfigRange.channels.upperBound
        )
        guard try config.optionalString("addition_embed_type") != nil else { return nil }
        guard let width, let inputs, width > 2, width % 2 == 0, inputs > TextTime.sizes * width
        else {
            throw config.fault(
                "addition_time_embed_dim",
                "does not fit projection_class_embeddings_input_dim",
                fix: "text_time needs both: the second is the pooled width plus 6 times the first"
            )
        }
        return TextTime(pooledWidth: inputs - TextTime.sizes * width, sizeWidth: width)
    }

    /// Options of UNet2DConditionModel of which one value only is supported, and those that do not
    /// matter here.
    private static func refuseOthers(_ config: inout ConfigReader) throws {
        let fixed: [(String, [JSON])] = [
            ("act_fn", [.string("silu"), .string("swish")]),
            ("attention_type", [.string("default")]),
            ("center_input_sample", [.bool(false)]),
            ("class_embed_type", []),
            ("class_embeddings_concat", [.bool(false)]),
            ("conv_in_kernel", [.number(3)]),
            ("conv_out_kernel", [.number(3)]),
            ("cross_attention_norm", []),
            ("dual_cross_attention", [.bool(false)]),
            ("encoder_hid_dim", []),
            ("encoder_hid_dim_type", []),
            ("mid_block_only_cross_attention", [.bool(false)]),
            ("mid_block_scale_factor", [.number(1)]),
            ("mid_block_type", [.string("UNetMidBlock2DCrossAttn")]),
            ("num_attention_heads", []),
            ("num_class_embeds", []),
            ("only_cross_attention", [.bool(false)]),
            ("resnet_out_scale_factor", [.number(1)]),
            ("resnet_skip_time_act", [.bool(false)]),
            ("resnet_time_scale_shift", [.string("default")]),
            ("reverse_transformer_layers_per_block", []),
            ("time_cond_proj_dim", []),
            ("time_embedding_act_fn", []),
            ("time_embedding_dim", []),
            ("time_embedding_type", [.string("positional")]),
            ("timestep_post_act", []),
        ]
        // Where the value is a word or a number, null omits the part it names, for example the middle block.
        for (key, values) in fixed {
            let nullable = values.allSatisfy { $0.bool == false }
            try config.expect(key, values, nullable: nullable)
        }
        // Dropout is for training; upcasting changes nothing in float32; the heads belong to
        // another addition_embed_type.
        config.ignore("dropout", "upcast_attention", "addition_embed_type_num_heads")
    }

    /// Rejects sizes that a network of this shape cannot have.
    private func check(_ config: ConfigReader) throws {
        let narrowest = Float(min(levels[0].channels, textTime?.sizeWidth ?? .max) / 2)
        guard narrowest > frequencyShift else {
            throw config.fault(
                "freq_shift",
                "\(frequencyShift) does not fit \(levels[0].channels) channels",
                fix: "0 is the common value"
            )
        }
        for level in levels {
            guard level.channels % normGroups == 0, level.channels % 2 == 0 else {
                throw config.fault(
                    "block_out_channels",
                    "\(level.channels) does not fit norm_num_groups",
                    fix: "Channels must be even multiples of \(normGroups)"
                )
            }
            guard level.channels % level.heads == 0 else {
                throw config.fault(
                    "attention_head_dim",
                    "asks for \(level.heads) heads of \(level.channels) channels",
                    fix: "Heads must divide the channels"
                )
            }
            guard level.contextWidth == crossAttentionDim else {
                throw config.fault(
                    "cross_attention_dim",
                    "differs between blocks",
                    fix: "Only models with one width for all blocks are supported"
                )
            }
        }
    }

    /// Sinusoidal embedding: sine and cosine of `values` at geometric frequencies, `[values, width]`.
    func sinusoids(of values: [Float], width: Int) -> Tensor {
        let half = width / 2
        return Tensor(shape: [values.count, width]) { out in
            for i in 0..<half {
                let exponent = -Float(log(10000.0)) * Float(i) / (Float(half) - frequencyShift)
                let frequency = exp(exponent)
                for (row, value) in values.enumerated() {
                    let angle = value * frequency
                    let (first, second) =
                        flipSinToCos ? (cos(angle), sin(angle)) : (sin(angle), cos(angle))
                    out[row * width + i] = first
                    out[row * width + half + i] = second
                }
            }
        }
    }
}
