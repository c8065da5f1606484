/// The UNet of a file in the original layout: everything that its tensors reveal about it.
struct OriginalUNet: Sendable {
    let tensors: OriginalShapes
    let layout: UNetLayout
    /// Channels of each resolution.
    let channels: [Int]
    /// Transformer blocks of each attention layer, by resolution; empty without attention.
    let downDepths: [[Int]]
    let upDepths: [[Int]]
    let middle: UNetConfig.Middle
    let contextWidth: Int
    let inChannels: Int
    /// Whether the input projections of attention layers are matrices instead of convolutions.
    let linearProjection: Bool
    /// Number of inputs of the embedding that is added to the timestep's; nil if there is none.
    let addedInputs: Int?
    /// Width of the embedded guidance scale; nil if there is none.
    let guidanceWidth: Int?

    static let prefix = "model.diffusion_model."

    /// - Throws: `InputError` naming what no supported UNet has
    init(_ tensors: OriginalShapes) throws(InputError) {
        self.tensors = tensors
        inChannels = try tensors.extent("input_blocks.0.0.weight", axis: 1)
        addedInputs =
            tensors.has("label_emb.0.0.weight")
            ? try tensors.extent("label_emb.0.0.weight", axis: 1) : nil
        guidanceWidth =
            tensors.has("time_embed.cond_proj.weight")
            ? try tensors.extent("time_embed.cond_proj.weight", axis: 1) : nil
        func depth(_ block: String) -> Int {
            tensors.count { "\(block).transformer_blocks.\($0).attn1.to_q.weight" }
        }

        // The down path: a convolution named "op" ends each resolution but the last.
        var levels: [UNetLayout.Level] = [.init()]
        var (channels, down) = ([0], [[Int]]([[]]))
        for block in 1..<256 {
            let name = "input_blocks.\(block)"
            if tensors.has("\(name).0.op.weight") {
                levels.append(.init())
                channels.append(0)
                down.append([])
                continue
            }
            let conv = "\(name).0.out_layers.3.weight"
            guard tensors.has(conv) else { break }
            let at = levels.count - 1
            let (width, blocks) = (try tensors.extent(conv, axis: 0), depth("\(name).1"))
            let attends = levels[at].layers == 0 ? blocks > 0 : levels[at].downAttention
            guard levels[at].layers == 0 || channels[at] == width, attends == (blocks > 0) else {
                throw tensors.unsupported(name, "it differs from others at its resolution")
            }
            channels[at] = width
            levels[at].layers += 1
            levels[at].downAttention = blocks > 0
            if blocks > 0 { down[at].append(blocks) }
        }
        guard levels.allSatisfy({ $0.layers > 0 }) else {
            throw tensors.unsupported("input_blocks", "a resolution has no residual block")
        }

        // The up path has the same resolutions in reverse, with one more block each.
        var up: [[Int]] = levels.map { _ in [] }
        var block = 0
        for at in levels.indices.reversed() {
            for layer in 0...levels[at].layers {
                let blocks = depth("output_blocks.\(block).1")
                if layer == 0 { levels[at].upAttention = blocks > 0 }
                guard levels[at].upAttention == (blocks > 0) else {
                    throw tensors.unsupported(
                        "output_blocks.\(block)",
                        "it differs from others at its resolution"
                    )
                }
                if blocks > 0 { up[at].append(blocks) }
                block += 1
            }
        }

        let blocks = depth("middle_block.1")
        let isWhole = tensors.has("middle_block.2.out_layers.3.weight")
        switch (tensors.has("middle_block.0.out_layers.3.weight"), blocks) {
        case (false, 0) where !isWhole: middle = .none
        case (true, 0) where !isWhole: middle = .residual
        case (true, 1...) where isWhole: middle = .attention(depth: blocks)
        default: throw tensors.unsupported("middle_block", "its kind is unknown")
        }
        if case .attention(let depth) = middle, let own = down[levels.count - 1].first, own != depth
        {
            throw tensors.unsupported("middle_block", "its depth of attention differs")
        }
        layout = UNetLayout(levels: levels)
        self.channels = channels
        (downDepths, upDepths) = (down, up)
        guard
            let attention = tensors.shapes.keys.sorted().first(where: {
                $0.hasSuffix(".transformer_blocks.0.attn2.to_k.weight")
            })
        else { throw tensors.unsupported("input_blocks", "nothing attends to a prompt") }
        contextWidth = try tensors.extent(attention, axis: 1)
        let projection = attention.replacing("transformer_blocks.0.attn2.to_k", with: "proj_in")
        linearProjection = tensors.shapes[projection]?.count == 2
    }

    /// The family that such a UNet belongs to.
    var family: ModelFamily { addedInputs != nil ? .sdxl : linearProjection ? .sd2 : .sd1 }

    /// Whether a configuration describes this UNet, judging by its tensors.
    func fits(_ config: UNetConfig) -> Bool {
        config.levels.map(\.channels) == channels && UNetLayout(config) == layout
            && config.levels.map(\.downDepths) == downDepths
            && config.levels.map(\.upDepths) == upDepths && config.middle == middle
            && config.crossAttentionDim == contextWidth
            && config.textTime?.inputs == addedInputs && config.inChannels == inChannels
            && config.linearProjection == linearProjection && config.guidanceWidth == guidanceWidth
    }

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
    ///   - sizes: how many numbers accompany the pooled prompt
    /// - Returns: what `unet/config.json` would contain
    /// - Throws: `InputError` if the number of heads does not follow from the family
    func config(
        nativeSide: Int,
        pooledWidth: Int?,
        sizes: Int = UNetConfig.TextTime.sizes
    ) throws(InputError) -> JSON {
        let count = channels.count
        var heads: [Int] = []
        for (at, width) in channels.enumerated() {
            let attends =
                layout.levels[at].downAttention || layout.levels[at].upAttention
                || (at == count - 1 && middle != .none && middle != .residual)
            // Stable Diffusion 1 fixes the number of heads, the other families the channels per head.
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
            "transformer_layers_per_block": .array(
                downDepths.indices.map { at in
                    if !downDepths[at].isEmpty { return json(downDepths[at]) }
                    // The depth of the middle block counts as the last level's.
                    guard at == count - 1, case .attention(let depth) = middle else {
                        return .number(1)
                    }
                    return .number(Double(depth))
                }
            ),
            "reverse_transformer_layers_per_block": .array(
                upDepths.reversed().map { $0.isEmpty ? .number(1) : json($0) }
            ),
            "mid_block_type": middle == .none
                ? .null
                : .string(middle == .residual ? "UNetMidBlock2D" : "UNetMidBlock2DCrossAttn"),
            "cross_attention_dim": .number(Double(contextWidth)),
            "use_linear_projection": .bool(linearProjection),
            "down_block_types": json(
                layout.levels.map { $0.downAttention ? "CrossAttnDownBlock2D" : "DownBlock2D" }
            ),
            "up_block_types": json(
                layout.levels.reversed().map { $0.upAttention ? "CrossAttnUpBlock2D" : "UpBlock2D" }
            ),
        ]
        if let guidanceWidth { fields["time_cond_proj_dim"] = .number(Double(guidanceWidth)) }
        if let addedInputs {
            let width = pooledWidth.map { (addedInputs - $0) / sizes }
            fields["addition_embed_type"] = .string("text_time")
            fields["addition_time_embed_dim"] = .number(Double(width ?? Self.sizeWidth))
            fields["projection_class_embeddings_input_dim"] = .number(Double(addedInputs))
        }
        return .object(fields)
    }

    private static let heads = 8
    private static let headWidth = 64
    private static let sizeWidth = 256
}
