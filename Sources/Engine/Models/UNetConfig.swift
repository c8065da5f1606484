import Foundation

/// What `unet/config.json` says: the shape of a UNet2DConditionModel, from its file alone.
package struct UNetConfig: Sendable, Equatable {
    /// One resolution, from the finest to the coarsest.
    struct Level: Sendable, Equatable {
        let channels: Int
        /// Residual blocks on the down path; one more on the up path.
        let layers: Int
        let heads: Int
        /// Transformer blocks of each attention layer on the down path, and on the up path; empty without attention.
        let downDepths: [Int]
        let upDepths: [Int]
        let contextWidth: Int

        var downAttention: Bool { !downDepths.isEmpty }
        var upAttention: Bool { !upDepths.isEmpty }
    }

    /// What is at the lowest resolution.
    enum Middle: Sendable, Equatable {
        /// Nothing.
        case none
        /// A residual block.
        case residual
        /// Two residual blocks and between them attention of so many transformer blocks.
        case attention(depth: Int)
    }

    /// SDXL's addition to the timestep: the pooled prompt and some numbers, such as sizes in pixels.
    struct TextTime: Sendable, Equatable {
        let pooledWidth: Int
        /// Width of the sinusoidal embedding of one number.
        let sizeWidth: Int
        /// How many numbers there are.
        let sizes: Int
        var inputs: Int { pooledWidth + sizes * sizeWidth }

        /// Original height and width, top and left of the crop, target height and width.
        static let sizes = 6
        /// Of the refiner: original height and width, top and left of the crop, aesthetic score.
        private static let sizesOfRefiner = 5

        /// How many numbers the models of a family take.
        static func count(of family: ModelFamily) -> Int {
            family == .sdxlRefiner ? sizesOfRefiner : sizes
        }
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
    let middle: Middle
    let textTime: TextTime?
    /// Width of the embedded guidance scale, nil where there is none: only models that were distilled with
    /// guidance have it.
    package let guidanceWidth: Int?
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

    /// The same, with typed errors.
    static func read(
        _ config: inout ConfigReader,
        sizes: Int
    ) throws(InputError) -> UNetConfig {
        do {
            return try UNetConfig(&config, sizes: sizes)
        } catch let error as InputError {
            throw error
        } catch {
            preconditionFailure("\(error)")
        }
    }

    /// Reads a configuration; `sizes` is how many numbers go with the pooled prompt, where one does.
    init(_ config: inout ConfigReader, sizes: Int = TextTime.sizes) throws {
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
        let depths = try BlockDepths(&config, layers: layers, down: down, up: up)
        levels = (0..<count).map { i in
            Level(
                channels: channels[i],
                layers: layers[i],
                heads: heads[i],
                downDepths: depths.down[i],
                upDepths: depths.up[i],
                contextWidth: widths[i]
            )
        }
        middle = try Self.middle(&config, depth: depths.middle)
        guidanceWidth = try config.optionalInt("time_cond_proj_dim", in: 4...4096)
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
        textTime = try Self.textTime(&config, sizes: sizes)
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
                    fix: "Only \(kinds.attending) and \(kinds.plain) are supported"
                )
            }
            return type == kinds.attending
        }
    }

    private static func middle(
        _ config: inout ConfigReader,
        depth: Int
    ) throws(InputError) -> Middle {
        let key = "mid_block_type"
        guard !config.isNull(key) else { return .none }
        switch try config.string(key, default: "UNetMidBlock2DCrossAttn") {
        case "UNetMidBlock2D": return .residual
        case "UNetMidBlock2DCrossAttn" where depth > 0: return .attention(depth: depth)
        case let type:
            throw config.fault(
                key,
                depth == 0
                    ? "it has attention of no transformer blocks" : "'\(type)' is not supported",
                fix: "Use a model without this option"
            )
        }
    }

    private static func textTime(
        _ config: inout ConfigReader,
        sizes: Int
    ) throws -> TextTime? {
        try config.expect("addition_embed_type", [.string("text_time")])
        let width = try config.optionalInt("addition_time_embed_dim", in: ConfigRange.channels)
        let inputs = try config.optionalInt(
            "projection_class_embeddings_input_dim",
            in: 1...(TextTime.sizes + 1) * ConfigRange.channels.upperBound
        )
        guard try config.optionalString("addition_embed_type") != nil else { return nil }
        guard let width, let inputs, width > 2, width % 2 == 0, inputs > sizes * width
        else {
            throw config.fault(
                "addition_time_embed_dim",
                "does not fit projection_class_embeddings_input_dim",
                fix:
                    "text_time needs both: the second is the pooled width plus \(sizes) times the first"
            )
        }
        return TextTime(
            pooledWidth: inputs - sizes * width,
            sizeWidth: width,
            sizes: sizes
        )
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
            ("num_attention_heads", []),
            ("num_class_embeds", []),
            ("only_cross_attention", [.bool(false)]),
            ("resnet_out_scale_factor", [.number(1)]),
            ("resnet_skip_time_act", [.bool(false)]),
            ("resnet_time_scale_shift", [.string("default")]),
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

    /// The embedding of a guidance scale w + 1, `[scales, guidanceWidth]`: sines, then cosines, of 1000 · w (Meng et
    /// al., 2023).
    func guidanceEmbedding(of scales: [Float], width: Int) -> Tensor {
        let half = width / 2
        return Tensor(shape: [scales.count, width]) { out in
            out.update(repeating: 0)
            for i in 0..<half {
                let frequency = exp(-Float(log(10000.0)) / Float(half - 1) * Float(i))
                for (row, scale) in scales.enumerated() {
                    let angle = (scale - 1) * 1000 * frequency
                    out[row * width + i] = sin(angle)
                    out[row * width + half + i] = cos(angle)
                }
            }
        }
    }
}

/// How many transformer blocks each attention layer has. In distilled models they differ within a resolution.
private struct BlockDepths {
    /// By level and layer; empty without attention.
    var down: [[Int]] = []
    var up: [[Int]] = []
    let middle: Int

    private static let key = "transformer_layers_per_block"
    private static let reverseKey = "reverse_transformer_layers_per_block"

    /// - Parameters:
    ///   - config: of the UNet
    ///   - layers: residual blocks of each level
    ///   - down: whether a level has attention on the down path
    ///   - up: likewise, in the order of the up path
    /// - Throws: `InputError` naming the field that does not fit
    init(_ config: inout ConfigReader, layers: [Int], down: [Bool], up: [Bool]) throws(InputError) {
        let count = layers.count
        func read(_ key: String) throws(InputError) -> [ConfigReader.Depths]? {
            let found = try config.depths(key, in: ConfigRange.depth, maxCount: ConfigRange.levels)
            guard let found, found.count != count else { return found }
            guard found.count == 1, case .all = found[0] else {
                throw config.fault(
                    key,
                    "has \(found.count) entries for \(count) blocks",
                    fix: "Give one number, or one for each of block_out_channels"
                )
            }
            return Array(repeating: found[0], count: count)
        }
        func layered(
            _ key: String,
            _ depths: ConfigReader.Depths,
            _ count: Int
        ) throws(InputError) -> [Int] {
            let all: [Int]
            switch depths {
            case .all(let depth): all = Array(repeating: depth, count: count)
            case .each(let depths): all = depths
            }
            guard all.count == count, all.allSatisfy({ $0 > 0 }) else {
                throw config.fault(
                    key,
                    "\(all) does not fit the \(count) attention layers of a block",
                    fix: "Compare with the model's original file"
                )
            }
            return all
        }
        if config.isNull(Self.key) {
            throw config.fault(
                Self.key,
                "it is null, and must be a number or a list",
                fix: "Compare with the model's original file"
            )
        }
        let own = try read(Self.key) ?? Array(repeating: .all(1), count: count)
        for i in 0..<count {
            self.down.append(down[i] ? try layered(Self.key, own[i], layers[i]) : [])
        }
        // In the order of the up path, from the coarsest level on.
        let reverse = try read(Self.reverseKey)
        for i in 0..<count {
            let at = count - 1 - i
            guard up[at] else {
                self.up.append([])
                continue
            }
            if reverse == nil, case .each = own[i] {
                throw config.fault(
                    Self.reverseKey,
                    "it is missing, and \(Self.key) has lists",
                    fix: "Use the model's original file"
                )
            }
            let key = reverse == nil ? Self.key : Self.reverseKey
            self.up.append(try layered(key, reverse?[at] ?? own[i], layers[i] + 1))
        }
        switch own[count - 1] {
        case .all(let depth): middle = depth
        case .each(let depths): middle = depths[0]
        }
    }
}
