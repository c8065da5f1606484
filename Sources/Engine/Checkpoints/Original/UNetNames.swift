/// The layout of a UNet, which determines its modules' names in the original layout.
struct UNetLayout: Equatable, Sendable {
    struct Level: Equatable, Sendable {
        /// Residual blocks on the down path; one more on the up path.
        var layers = 0
        var downAttention = false
        var upAttention = false
    }

    /// From the finest resolution to the coarsest.
    var levels: [Level]

    init(levels: [Level]) { self.levels = levels }

    /// The layout of a configured UNet.
    init(_ config: UNetConfig) {
        levels = config.levels.map {
            Level(layers: $0.layers, downAttention: $0.downAttention, upAttention: $0.upAttention)
        }
    }

    /// From the original names to those of Diffusers.
    ///
    /// The original numbers all blocks of the down path, and those of the up path, consecutively; each
    /// holds a residual block, an attention block or nothing, and the down- or upsampler.
    var names: Renaming {
        var names = Renaming([
            ("time_embed.0", "time_embedding.linear_1"),
            ("time_embed.2", "time_embedding.linear_2"),
            ("time_embed.cond_proj", "time_embedding.cond_proj"),
            ("label_emb.0.0", "add_embedding.linear_1"),
            ("label_emb.0.2", "add_embedding.linear_2"),
            ("input_blocks.0.0", "conv_in"), ("out.0", "conv_norm_out"), ("out.2", "conv_out"),
            ("middle_block.1", "mid_block.attentions.0"),
        ])
        func resnet(_ from: String, _ to: String) {
            names.add(from, to, inside: Self.resnetNames)
        }
        resnet("middle_block.0", "mid_block.resnets.0")
        resnet("middle_block.2", "mid_block.resnets.1")
        var block = 1
        for (i, level) in levels.enumerated() {
            for layer in 0..<level.layers {
                resnet("input_blocks.\(block).0", "down_blocks.\(i).resnets.\(layer)")
                names.add("input_blocks.\(block).1", "down_blocks.\(i).attentions.\(layer)")
                block += 1
            }
            guard i < levels.count - 1 else { continue }
            names.add("input_blocks.\(block).0.op", "down_blocks.\(i).downsamplers.0.conv")
            block += 1
        }
        block = 0
        for (i, level) in levels.reversed().enumerated() {
            for layer in 0...level.layers {
                resnet("output_blocks.\(block).0", "up_blocks.\(i).resnets.\(layer)")
                if level.upAttention {
                    names.add("output_blocks.\(block).1", "up_blocks.\(i).attentions.\(layer)")
                }
                block += 1
            }
            guard i < levels.count - 1 else { continue }
            let place = level.upAttention ? 2 : 1
            names.add(
                "output_blocks.\(block - 1).\(place).conv",
                "up_blocks.\(i).upsamplers.0.conv"
            )
        }
        return names
    }

    private static let resnetNames = Renaming([
        ("in_layers.0", "norm1"), ("in_layers.2", "conv1"), ("emb_layers.1", "time_emb_proj"),
        ("out_layers.0", "norm2"), ("out_layers.3", "conv2"), ("skip_connection", "conv_shortcut"),
    ])
}
