/// The UNet of a file in the original layout: everything that its tensors reveal about it.
struct OriginalUNet: Sendable {
    let tensors: OriginalShapes
    let layout: UNetLayout
    /// Channels of each resolution.
    let channels: [Int]
    /// Transformer blocks per attention layer of each resolution.
    let depths: [Int]
    let contextWidth: Int
    let inChannels: Int
    /// Whether the input projections of attention layers are matrices instead of convolutions.
    let linearProjection: Bool
    /// Inputs of the embedding that is added to the timestep, nil where there is none.
    let addedInputs: Int?

    static let prefix = "model.diffusion_model."

    /// - Throws: `InputError` naming what no supported UNet has
    init(_ tensors: OriginalShapes) throws(InputError) {
        self.tensors = tensors
        inChannels = try tensors.extent("input_blocks.0.0.weight", axis: 1)
        addedInputs =
            tensors.has("label_emb.0.0.weight")
            ? try tensors.extent("label_emb.0.0.weight", axis: 1) : nil
        func depth(_ block: String) -> Int {
            tensors.count { "\(block).transformer_blocks.\($0).attn1.to_q.weight" }
        }

        // The down path: a convolution named "op" ends each resolution but the last.
        var levels: [UNetLayout.Level] = [.init()]
        var (channels, depths) = ([0], [0])
        for block in 1..<256 {
            let name = "input_blocks.\(block)"
            if tensors.has("\(name).0.op.weight") {
                levels.append(.init())
                channels.append(0)
                depths.append(0)
                continue
            }
            let conv = "\(name).0.out_layers.3.weight"
            guard tensors.has(conv) else { break }
            let at = levels.count - 1
            let (width, blocks) = (try tensors.extent(conv, axis: 0), depth("\(name).1"))
            guard levels[at].layers == 0 || (channels[at] == width && depths[at] == blocks) else {
                throw tensors.unsupported(name, "it is unlike the others of its resolution")
            }
            (channels[at], depths[at]) = (width, blocks)
            levels[at].layers += 1
            levels[at].downAttention = blocks > 0
        }
        guard levels.allSatisfy({ $0.layers > 0 }) else {
            throw tensors.unsupported("input_blocks", "a resolution has no residual block")
        }

        // The up path has the same resolutions in reverse, with one more block each.
        var block = 0
        for at in levels.indices.reversed() {
            for layer in 0...levels[at].layers {
                let blocks = depth("output_blocks.\(block).1")
                if layer == 0 { levels[at].upAttention = blocks > 0 }
                if layer == 0, depths[at] == 0 { depths[at] = blocks }
                guard blocks == (levels[at].upAttention ? depths[at] : 0) else {
                    throw tensors.unsupported(
                        "output_blocks.\(block)",
                        "it is unlike the others of its resolution"
                    )
                }
                block += 1
            }
        }

        let middle = depth("middle_block.1")
        let last = depths.count - 1
        if depths[last] == 0 { depths[last] = middle }
        guard middle > 0, depths[last] == middle else {
            throw tensors.unsupported("middle_block", "its attention is unlike its neighbours'")
        }
        layout = UNetLayout(levels: levels)
        self.channels = channels
        self.depths = depths.map { max(1, $0) }
        contextWidth = try tensors.extent(
            "middle_block.1.transformer_blocks.0.attn2.to_k.weight",
            axis: 1
        )
        linearProjection = tensors.shapes["middle_block.1.proj_in.weight"]?.count == 2
    }

    /// The family that such a UNet belongs to.
    var family: ModelFamily { addedInputs != nil ? .sdxl : linearProjection ? .sd2 : .sd1 }

    /// The table of its weights.
    func weights(_ file: SafeTensors) -> WeightTable {
        var table = WeightTable(place: file.path)
        let names = layout.names
        for (name, shape) in tensors.shapes {
            let own = tensors.prefix + name
            table.add(
                names(name) ?? own,
                WeightTable.Entry(file: file, name: own, form: .same, shape: shape)
            )
        }
        return table
    }

    /// Its configuration in Diffusers' format.
    ///
    /// - Parameters:
    ///   - nativeSide: side of the latents it was trained on
    ///   - pooledWidth: width of the pooled prompt, if a text encoder provides one
    /// - Returns: what `unet/config.json` would say
    /// - Throws: `InputError` where the number of heads does not follow from the family
    func config(nativeSide: Int, pooledWidth: Int?) throws(InputError) -> JSON {
        let count = channels.count
        var heads: [Int] = []
        for (at, width) in channels.enumerated() {
            let attends =
                layout.levels[at].downAttention || layout.levels[at].upAttention
                || at == count - 1
            // Stable Diffusion 1 fixes the number of heads, the others the channels of a head.
            let number = family == .sd1 ? Self.heads : width / Self.headWidth
            let fits = number > 0 && width % number == 0
            guard fits || !attends else {
                throw InputError(
                    "\(tensors.place): \(tensors.prefix)",
                    "how many heads its attention of \(width) channels has does not follow from it",
                    fix: "Give the UNet's config.json with --model-config"
                )
            }
            heads.append(fits ? number : 1)
        }
        var fields: [String: JSON] = [
            "sample_size": .number(Double(nativeSide)),
            "in_channels": .number(Double(inChannels)),
            "out_channels": .number(Double(try tensors.extent("out.2.weight", axis: 0))),
            "block_out_channels": json(channels),
            "layers_per_block": json(layout.levels.map(\.layers)),
            "attention_head_dim": json(heads),
            "transformer_layers_per_block": json(depths),
            "cross_attention_dim": .number(Double(contextWidth)),
            "use_linear_projection": .bool(linearProjection),
            "down_block_types": json(
                layout.levels.map { $0.downAttention ? "CrossAttnDownBlock2D" : "DownBlock2D" }
            ),
            "up_block_types": json(
                layout.levels.reversed().map { $0.upAttention ? "CrossAttnUpBlock2D" : "UpBlock2D" }
            ),
        ]
        if let addedInputs {
            let sizes = pooledWidth.map { (addedInputs - $0) / UNetConfig.TextTime.sizes }
            fields["addition_embed_type"] = .string("text_time")
            fields["addition_time_embed_dim"] = .number(Double(sizes ?? Self.sizeWidth))
            fields["projection_class_embeddings_input_dim"] = .number(Double(addedInputs))
        }
        return .object(fields)
    }

    private static let heads = 8
    private static let headWidth = 64
    private static let sizeWidth = 256
}
