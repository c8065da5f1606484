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
}
