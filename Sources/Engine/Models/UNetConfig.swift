import Foundation

/// What `unet/config.json` says: the shape of a UNet2DConditionModel, read from this file alone.
package struct UNetConfig: Sendable, Equatable {
    /// One resolution of the network; levels go from the finest to the coarsest.
    struct Level: Sendable, Equatable {
        let channels: Int
        /// Residual blocks on the down path; the up path has one more.
        let layers: Int
        let heads: Int
        /// Transformer blocks in each attention layer of the down path, and of the up path; empty without attention.
        let downDepths: [Int]
        let upDepths: [Int]
        let contextWidth: Int

        var downAttention: Bool { !downDepths.isEmpty }
        var upAttention: Bool { !upDepths.isEmpty }
    }

    /// The blocks at the lowest resolution.
    enum Middle: Sendable, Equatable {
        /// No blocks.
        case none
        /// One residual block.
        case residual
        /// Two residual blocks with attention between them, of `depth` transformer blocks.
        case attention(depth: Int)
    }

    /// SDXL's addition to the timestep: the pooled prompt and a few numbers, such as sizes in pixels.
    struct TextTime: Sendable, Equatable {
        let pooledWidth: Int
        /// Width of each number's sinusoidal embedding.
        let sizeWidth: Int
        /// How many numbers there are.
        let sizes: Int
        var inputs: Int { pooledWidth + sizes * sizeWidth }

        /// Base models: original height and width, crop top and left, target height and width.
        static let sizes = 6
        /// Refiners: original height and width, crop top and left, aesthetic score.
        private static let sizesOfRefiner = 5

        /// How many numbers a family's models take.
        static func count(of family: ModelFamily) -> Int {
            family == .sdxlRefiner ? sizesOfRefiner : sizes
        }
    }

    /// Side of the latents that the model was trained on, in latent pixels.
    package let sampleSize: Int
    /// Channels of the input latents.
    package let inChannels: Int
    /// Channels of the prediction.
    package let outChannels: Int
    /// Width of the prompt embedding.
    package let crossAttentionDim: Int
    /// Whether the model needs sizes and a pooled prompt in addition to the prompt (SDXL).
    package var needsTimeIDs: Bool { textTime != nil }
    /// Width of the pooled prompt embedding; nil if there is none.
    package var pooledWidth: Int? { textTime?.pooledWidth }

    let levels: [Level]
    let middle: Middle
    let textTime: TextTime?
    /// Width of the embedded guidance scale; nil if there is none. Only guidance-distilled models have it.
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
    /// Throws `InputError` for a missing file, and for an option that is unknown or whose value is not supported.
    package init(file: String) throws {
        var config = try ConfigReader(file: file)
        try self.init(&config)
        try config.finish()
    }

    /// The same with typed errors.
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

    /// Reads a configuration; `sizes` is how many numbers accompany the pooled prompt, if there is one.
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
        // Despite the name, Diffusers stores the number of heads here, not their width.
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
