/// What `text_encoder/config.json` says: the shape of a CLIP text model.
package struct CLIPConfig: Equatable {
    let vocabulary: Int
    let tokens: Int
    /// Width of the hidden states.
    package let width: Int
    let innerWidth: Int
    let layers: Int
    let heads: Int
    let activation: Nonlinearity
    let normEpsilon: Float
    /// The token whose state is the pooled embedding.
    package let pooling: Pooling
    /// Width of the pooled embedding; nil for a model without projection.
    package let projection: Int?

    /// The token whose state is the pooled embedding.
    package enum Pooling: Equatable {
        /// The token with the highest id. Configurations that predate the recording of the end token say
        /// `eos_token_id: 2` and mean this.
        case highestID
        /// The first token with this id.
        case first(Int)

        /// The position of that token.
        package func position(in ids: [Int]) -> Int {
            switch self {
            case .highestID: ids.firstIndex(of: ids.max() ?? 0) ?? 0
            case .first(let id): ids.firstIndex(of: id) ?? 0
            }
        }
    }

    /// Reads a configuration; `projected` if it is of a CLIPTextModelWithProjection.
    package init(file: String, projected: Bool) throws {
        var config = try ConfigReader(file: file)
        try self.init(&config, projected: projected)
        try config.finish()
    }

    init(_ config: inout ConfigReader, projected: Bool) throws {
        vocabulary = try config.int("vocab_size", default: 49408, in: ConfigRange.vocabulary)
        tokens = try config.int("max_position_embeddings", default: 77, in: ConfigRange.tokens)
        width = try config.int("hidden_size", default: 512, in: ConfigRange.channels)
        innerWidth = try config.int(
            "intermediate_size",
            default: 2048,
            in: ConfigRange.channels
        )
        layers = try config.int("num_hidden_layers", default: 12, in: ConfigRange.depth)
        heads = try config.int("num_attention_heads", default: 8, in: ConfigRange.heads)
        normEpsilon = try config.float("layer_norm_eps", default: 1e-5, in: ConfigRange.epsilon)
        let end = try config.int(
            "eos_token_id",
            default: 49407,
            in: 0...ConfigRange.vocabulary.upperBound
        )
        pooling = end == 2 ? .highestID : .first(end)
        let dimension = try config.int("projection_dim", default: 512, in: ConfigRange.channels)
        projection = projected ? dimension : nil
        let name = try config.string("hidden_act", default: "quick_gelu")
        switch name {
        case "quick_gelu": activation = .quickGelu
        case "gelu": activation = .gelu
        default:
            throw config.fault(
                "hidden_act",
                "is '\(name)'",
                fix: "Only quick_gelu and gelu are supported"
            )
        }
        try config.expect("model_type", [.string("clip_text_model")])
        try config.expect("use_attention_mask", [.bool(false)])
        // Other fields that Transformers writes: for training, for generating text, or about the file itself. None
        // of them affects an encoding.
        config.ignore(
            "architectures",
            "attention_dropout",
            "bos_token_id",
            "chunk_size_feed_forward",
            "dropout",
            "dtype",
            "gradient_checkpointing",
            "hidden_dropout_prob",
            "id2label",
            "initializer_factor",
            "initializer_range",
            "is_decoder",
            "is_encoder_decoder",
            "label2id",
            "output_attentions",
            "output_hidden_states",
            "pad_token_id",
            "problem_type",
            "return_dict",
            "tie_word_embeddings",
            "torch_dtype",
            "torchscript",
            "transformers_version",
            "use_bfloat16",
            "use_cache"
        )
        guard width % heads == 0 else {
            throw config.fault(
                "num_attention_heads",
                "\(heads) does not divide hidden_size, \(width)",
                fix: "Compare with the model's original file"
            )
        }
    }
}
