/// The autoencoder of a file in the original layout.
struct OriginalVAE: Sendable {
    let tensors: OriginalShapes
    /// Number of resolutions, and of the decoder's residual blocks at each.
    let levels: Int
    let blocks: Int

    static let prefix = "first_stage_model."

    /// - Throws: `InputError` if it has no decoder of a known kind
    init(_ tensors: OriginalShapes) throws(InputError) {
        self.tensors = tensors
        levels = tensors.count { "decoder.up.\($0).block.0.conv2.weight" }
        blocks = tensors.count { "decoder.up.0.block.\($0).conv2.weight" }
        guard levels > 0, blocks > 1 else {
            throw tensors.unsupported("decoder", "it is not a Stable Diffusion decoder")
        }
    }

    /// From the original names to those of Diffusers.
    var names: Renaming {
        var names = Renaming([
            ("quant_conv", "quant_conv"), ("post_quant_conv", "post_quant_conv"),
        ])
        for half in ["encoder", "decoder"] {
            for (from, to) in [
                ("conv_in", "conv_in"), ("conv_out", "conv_out"), ("norm_out", "conv_norm_out"),
            ] { names.add("\(half).\(from)", "\(half).\(to)") }
            for i in 0..<2 {
                names.add(
                    "\(half).mid.block_\(i + 1)",
                    "\(half).mid_block.resnets.\(i)",
                    inside: Self.resnetNames
                )
            }
            names.add(
                "\(half).mid.attn_1",
                "\(half).mid_block.attentions.0",
                inside: Self.attentionNames
            )
        }
        for level in 0..<levels {
            // Here the decoder's resolutions are numbered from the finest, in Diffusers from the coarsest.
            let mirrored = levels - 1 - level
            for block in 0..<blocks {
                names.add(
                    "encoder.down.\(level).block.\(block)",
                    "encoder.down_blocks.\(level).resnets.\(block)",
                    inside: Self.resnetNames
                )
                names.add(
                    "decoder.up.\(level).block.\(block)",
                    "decoder.up_blocks.\(mirrored).resnets.\(block)",
                    inside: Self.resnetNames
                )
            }
            names.add(
                "encoder.down.\(level).downsample.conv",
                "encoder.down_blocks.\(level).downsamplers.0.conv"
            )
            names.add(
                "decoder.up.\(level).upsample.conv",
                "decoder.up_blocks.\(mirrored).upsamplers.0.conv"
            )
        }
        return names
    }

    private static let resnetNames = Renaming([
        ("norm1", "norm1"), ("conv1", "conv1"), ("norm2", "norm2"), ("conv2", "conv2"),
        ("nin_shortcut", "conv_shortcut"),
    ])

    private static let attentionNames = Renaming([
        ("norm", "group_norm"), ("q", "to_q"), ("k", "to_k"), ("v", "to_v"),
        ("proj_out", "to_out.0"),
    ])

    /// The table of its weights. Attention is stored as 1 × 1 convolutions and read as matrices.
    func weights(_ file: SafeTensors) -> WeightTable {
        var table = WeightTable(place: file.path)
        let names = names
        for (name, shape) in tensors.shapes {
            let own = tensors.prefix + name
            // Left over from the training loss.
            if name.hasPrefix("loss.") { continue }
            let isMatrix = name.contains(".attn_1.") && shape.count == 4 && shape[2...] == [1, 1]
            table.add(
                names(name) ?? own,
                WeightTable.Entry(
                    file: file,
                    name: own,
                    form: .same,
                    shape: isMatrix ? Array(shape[..<2]) : shape
                )
            )
        }
        return table
    }

    /// Its configuration in Diffusers' format.
    ///
    /// - Parameter scaling: how latents are scaled, which does not follow from the tensors
    /// - Returns: what `vae/config.json` would contain
    /// - Throws: `InputError` naming a weight that is missing
    func config(scaling: [String: JSON]) throws(InputError) -> JSON {
        var channels: [Int] = []
        for level in 0..<levels {
            channels.append(try tensors.extent("decoder.up.\(level).block.0.conv2.weight", axis: 0))
        }
        let imageChannels = try tensors.extent("decoder.conv_out.weight", axis: 0)
        let inputs = tensors.shapes["encoder.conv_in.weight"].flatMap { $0.count > 1 ? $0[1] : nil }
        let fields: [String: JSON] = [
            "block_out_channels": json(channels),
            "layers_per_block": .number(Double(blocks - 1)),
            "latent_channels": .number(
                Double(try tensors.extent("decoder.conv_in.weight", axis: 1))
            ),
            "in_channels": .number(Double(inputs ?? imageChannels)),
            "out_channels": .number(Double(imageChannels)),
            "mid_block_add_attention": .bool(tensors.has("decoder.mid.attn_1.q.weight")),
            "use_quant_conv": .bool(tensors.has("quant_conv.weight")),
            "use_post_quant_conv": .bool(tensors.has("post_quant_conv.weight")),
            "down_block_types": json(Array(repeating: "DownEncoderBlock2D", count: levels)),
            "up_block_types": json(Array(repeating: "UpDecoderBlock2D", count: levels)),
        ]
        return .object(fields.merging(scaling) { $1 })
    }
}
