/// Checks of options: which blocks there are, sizes that must fit together, and what is not supported.
extension UNetConfig {
    /// Which blocks attend to the prompt.
    static func attention(
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

    static func middle(
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

    static func textTime(
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

    /// Handles the remaining options of UNet2DConditionModel: those with a single supported value, and
    /// those that do not matter here.
    static func refuseOthers(_ config: inout ConfigReader) throws {
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
        // If the value is a word or a number, null omits the part that it names, for example the middle block.
        for (key, values) in fixed {
            let nullable = values.allSatisfy { $0.bool == false }
            try config.expect(key, values, nullable: nullable)
        }
        // Dropout is for training, upcasting changes nothing in float32, and the number of heads belongs to
        // another addition_embed_type.
        config.ignore("dropout", "upcast_attention", "addition_embed_type_num_heads")
    }

    /// Rejects sizes that a network of this shape cannot have.
    func check(_ config: ConfigReader) throws {
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
}
