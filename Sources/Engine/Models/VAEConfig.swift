/// What `vae/config.json` says: the shape of an AutoencoderKL, from its file alone.
package struct VAEConfig: Sendable, Equatable {
    /// Latents are multiplied by this after encoding and divided by it before decoding.
    package let scalingFactor: Float
    /// Channels of a latent.
    package let latentChannels: Int
    /// Pixels of the picture per latent pixel, along each side.
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
    /// Throws `InputError` for a missing file, and for an option whose value is not supported or
    /// that is not known at all.
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
            most: ConfigRange.levels
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
        for key in ["latents_mean", "latents_std", "shift_factor"] {
            try config.expect(key, [])
        }
        // The size of training pictures is not binding, and upcasting only asks for float32.
        config.ignore("sample_size", "force_upcast")
        guard channels.allSatisfy({ $0 % normGroups == 0 }) else {
            throw config.fault(
                "block_out_channels",
                "\(channels) does not fit norm_num_groups",
                fix: "Channels must be multiples of \(normGroups)"
            )
        }
    }
}
