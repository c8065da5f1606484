/// What `vae/config.json` says: the shape of an AutoencoderKL, read from this file alone.
package struct VAEConfig: Sendable, Equatable {
    /// Latents are multiplied by this after encoding and divided by it before decoding.
    package let scalingFactor: Float
    /// Mean and standard deviation of each channel, by which latents are normalised in addition; nil if they are not.
    let normalisation: Normalisation?

    /// A description of how latents are scaled.
    var scaling: String {
        "\(latentChannels) channels, times \(scalingFactor)"
            + (normalisation == nil ? "" : " after each is normalised")
    }

    /// Mean and standard deviation of each latent channel.
    struct Normalisation: Sendable, Equatable {
        let mean: [Float]
        let deviation: [Float]
    }

    /// The configuration fields that say how latents are scaled.
    static let scalingKeys = ["scaling_factor", "shift_factor", "latents_mean", "latents_std"]
    /// Channels of a latent.
    package let latentChannels: Int
    /// Pixels per latent pixel, along each side.
    package var factor: Int { 1 << (channels.count - 1) }

    let channels: [Int]
    let imageChannels: Int
    let outChannels: Int
    let layers: Int
    let normGroups: Int
    let midAttention: Bool
    let quantConv: Bool
    let postQuantConv: Bool

    /// Reads a configuration; the weights are not touched.
    ///
    /// Throws `InputError` for a missing file, and for an option that is unknown or whose value is not supported.
    package init(file: String) throws {
        var config = try ConfigReader(file: file)
        try self.init(&config)
        try config.finish()
    }

    init(_ config: inout ConfigReader) throws {
        channels = try config.ints(
            "block_out_channels",
            default: [64],
            in: ConfigRange.channels,
            maxCount: ConfigRange.levels
        )
        scalingFactor = try config.float("scaling_factor", default: 0.18215, in: 1e-6...1e6)
        latentChannels = try config.int(
            "latent_channels",
            default: 4,
            in: ConfigRange.latentChannels
        )
        // Red, green and blue.
        imageChannels = try config.int("in_channels", default: 3, in: 3...3)
        outChannels = try config.int("out_channels", default: 3, in: 3...3)
        layers = try config.int("layers_per_block", default: 1, in: ConfigRange.layers)
        normGroups = try config.int("norm_num_groups", default: 32, in: ConfigRange.channels)
        midAttention = try config.bool("mid_block_add_attention", default: true)
        quantConv = try config.bool("use_quant_conv", default: true)
        postQuantConv = try config.bool("use_post_quant_conv", default: true)
        for (key, type) in [
            ("down_block_types", "DownEncoderBlock2D"), ("up_block_types", "UpDecoderBlock2D"),
        ] {
            let types = try config.strings(key, default: [type])
            guard types.count == channels.count, types.allSatisfy({ $0 == type }) else {
                throw config.fault(
                    key,
                    "is not \(channels.count) times \(type)",
                    fix: "No other kind of block is supported, and block_out_channels has one each"
                )
            }
        }
        try config.expect("act_fn", [.string("silu"), .string("swish")], nullable: false)
        normalisation = try Self.normalisation(&config, channels: latentChannels)
        // The size of training pictures is not binding, and upcasting only requests float32.
        config.ignore("sample_size", "force_upcast")
        guard channels.allSatisfy({ $0 % normGroups == 0 }) else {
            throw config.fault(
                "block_out_channels",
                "\(channels) does not fit norm_num_groups",
                fix: "Channels must be multiples of \(normGroups)"
            )
        }
    }

    private static func normalisation(
        _ config: inout ConfigReader,
        channels: Int
    ) throws -> Normalisation? {
        func values(_ key: String, in range: ClosedRange<Double>) throws -> [Float]? {
            guard let value = config.value(key) else { return nil }
            let numbers = (value.array ?? []).compactMap(\.number).filter(range.contains)
            guard numbers.count == channels, value.array?.count == channels else {
                throw config.fault(
                    key,
                    "it is not \(channels) numbers from \(range.lowerBound) to \(range.upperBound)",
                    fix: "Compare with the model's original file"
                )
            }
            return numbers.map { Float($0) }
        }
        let mean = try values("latents_mean", in: -1e6...1e6)
        let deviation = try values("latents_std", in: 1e-6...1e6)
        guard (mean == nil) == (deviation == nil) else {
            throw config.fault(
                mean == nil ? "latents_mean" : "latents_std",
                "it is missing, and the other of latents_mean and latents_std is there",
                fix: "Compare with the model's original file"
            )
        }
        let shift =
            config.value("shift_factor") == nil
            ? 0 : try config.float("shift_factor", default: 0, in: -1e6...1e6)
        guard shift != 0 || mean != nil else { return nil }
        return Normalisation(
            mean: (mean ?? Array(repeating: 0, count: channels)).map { $0 + shift },
            deviation: deviation ?? Array(repeating: 1, count: channels)
        )
    }
}
