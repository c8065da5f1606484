/// A text encoder of a file in the original layout: CLIP as Transformers names it, or OpenCLIP.
struct OriginalText: Sendable {
    /// The naming scheme of the tensors.
    enum Kind: Sendable {
        case transformers
        case openCLIP
    }

    let tensors: OriginalShapes
    let kind: Kind
    /// Number of layers that are computed.
    let layers: Int
    /// Whether its pooled and projected embedding is needed.
    let projected: Bool
    private let root: String

    /// - Throws: `InputError` if no layer is found
    init(_ tensors: OriginalShapes, kind: Kind, projected: Bool) throws(InputError) {
        self.tensors = tensors
        self.kind = kind
        self.projected = projected
        switch kind {
        case .transformers:
            let root = tensors.has("text_model.final_layer_norm.weight") ? "text_model." : ""
            self.root = root
            layers = tensors.count { "\(root)encoder.layers.\($0).layer_norm1.weight" }
        case .openCLIP:
            root = ""
            let count = tensors.count { "transformer.resblocks.\($0).ln_1.weight" }
            // Stable Diffusion 2 uses the hidden states before the last layer, so Diffusers leaves
            // that layer out. Files written by Diffusers lack it and the projection.
            let isComplete =
                tensors.has("text_projection") || tensors.has("text_projection.weight")
                || count == Self.layersOfOpenCLIP
            layers = projected || !isComplete ? count : count - 1
        }
        guard layers > 0 else {
            throw tensors.unsupported("", "it is not a text encoder of CLIP")
        }
    }

    private static let layersOfOpenCLIP = 24

    private static let layerNames = Renaming([
        ("ln_1", "layer_norm1"), ("ln_2", "layer_norm2"), ("attn.out_proj", "self_attn.out_proj"),
        ("mlp.c_fc", "mlp.fc1"), ("mlp.c_proj", "mlp.fc2"),
    ])

    /// From OpenCLIP's names to those of Transformers, except for the queries, keys and values.
    private var names: Renaming {
        var names = Renaming([
            ("token_embedding", "text_model.embeddings.token_embedding"),
            ("positional_embedding", "text_model.embeddings.position_embedding.weight"),
            ("ln_final", "text_model.final_layer_norm"),
        ])
        for layer in 0..<layers {
            names.add(
                "transformer.resblocks.\(layer)",
                "text_model.encoder.layers.\(layer)",
                inside: Self.layerNames
            )
        }
        return names
    }

    /// The table of its weights.
    func weights(_ file: SafeTensors) -> WeightTable {
        var table = WeightTable(place: file.path)
        let names = names
        for (name, shape) in tensors.shapes {
            let own = tensors.prefix + name
            func add(_ to: String, _ form: WeightTable.Form, _ shape: [Int]) {
                table.add(to, .init(file: file, name: own, form: form, shape: shape))
            }
            // Left over from training, or needed only for the projection or the last layer.
            if ["logit_scale", "attn_mask"].contains(name) { continue }
            if name.hasPrefix("text_projection"), !projected { continue }
            guard kind == .openCLIP else {
                add(name, .same, shape)
                continue
            }
            if name.hasPrefix("text_projection") {
                let isTransposed = name == "text_projection" && shape.count == 2
                add(
                    "text_projection.weight",
                    isTransposed ? .transposed : .same,
                    isTransposed ? shape.reversed() : shape
                )
                continue
            }
            if !projected, name.hasPrefix("transformer.resblocks.\(layers).") { continue }
            if let (layer, leaf) = fusedAttention(name), let rows = shape.first, rows % 3 == 0 {
                for (i, part) in ["q_proj", "k_proj", "v_proj"].enumerated() {
                    add(
                        "text_model.encoder.layers.\(layer).self_attn.\(part).\(leaf)",
                        .third(i),
                        [rows / 3] + shape.dropFirst()
                    )
                }
                continue
            }
            add(names(name) ?? own, .same, shape)
        }
        return table
    }

    /// The layer and the leaf name in `transformer.resblocks.N.attn.in_proj_weight` or `…_bias`.
    private func fusedAttention(_ name: String) -> (layer: Int, leaf: String)? {
        let parts = name.split(separator: ".")
        guard parts.count == 5, parts[0] == "transformer", parts[1] == "resblocks",
            let layer = Int(parts[2]), (0..<layers).contains(layer), parts[3] == "attn"
        else { return nil }
        switch parts[4] {
        case "in_proj_weight": return (layer, "weight")
        case "in_proj_bias": return (layer, "bias")
        default: return nil
        }
    }

    /// Width of the projected embedding; nil if there is none.
    var projection: Int? {
        guard projected else { return nil }
        if let shape = tensors.shapes["text_projection"], shape.count == 2 { return shape[1] }
        return tensors.shapes["text_projection.weight"]?.first
    }

    /// Size of the vocabulary.
    func vocabulary() throws(InputError) -> Int {
        switch kind {
        case .transformers:
            try tensors.extent("\(root)embeddings.token_embedding.weight", axis: 0)
        case .openCLIP: try tensors.extent("token_embedding.weight", axis: 0)
        }
    }

    private var positions: String {
        switch kind {
        case .transformers: "\(root)embeddings.position_embedding.weight"
        case .openCLIP: "positional_embedding"
        }
    }

    /// Width of its hidden states.
    func width() throws(InputError) -> Int { try tensors.extent(positions, axis: 1) }

    /// Its configuration in Transformers' format.
    ///
    /// - Throws: `InputError` if the number of heads does not follow from the width
    func config() throws(InputError) -> JSON {
        let inner =
            switch kind {
            case .transformers: "\(root)encoder.layers.0.mlp.fc1.weight"
            case .openCLIP: "transformer.resblocks.0.mlp.c_fc.weight"
            }
        let width = try width()
        guard width >= Self.headWidth, width % Self.headWidth == 0 else {
            throw InputError(
                "\(tensors.place): \(tensors.prefix)",
                "how many heads its attention of \(width) channels has does not follow from it",
                fix: "Give the text encoder's config.json with --model-config"
            )
        }
        var fields: [String: JSON] = [
            "vocab_size": .number(Double(try vocabulary())),
            "max_position_embeddings": .number(Double(try tensors.extent(positions, axis: 0))),
            "hidden_size": .number(Double(width)),
            "intermediate_size": .number(Double(try tensors.extent(inner, axis: 0))),
            "num_hidden_layers": .number(Double(layers)),
            "num_attention_heads": .number(Double(width / Self.headWidth)),
            "hidden_act": .string(kind == .openCLIP ? "gelu" : "quick_gelu"),
            // To Transformers, 2 means that the end token is the one with the highest id.
            "eos_token_id": .number(2),
        ]
        if let projection { fields["projection_dim"] = .number(Double(projection)) }
        return .object(fields)
    }

    private static let headWidth = 64
}
