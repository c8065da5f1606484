/// CLIP's text model: a causal transformer over 77 tokens.
struct CLIPTextNetwork {
    /// The encoding of a prompt.
    struct Encoding {
        /// Hidden states after the last layer and the final norm: `[1, tokens, width]`.
        let last: Activation
        /// Hidden states after the last layer that is not skipped, without a norm: `[1, tokens, width]`.
        let hidden: Activation
        /// Projected state of the end token: `[1, projection]`; nil for a model without projection.
        let pooled: Tensor?
    }

    let config: CLIPConfig
    let tokenTable: TableWeights
    let positionTable: TableWeights
    let layers: [CLIPLayer]
    let finalNorm: LayerNorm
    let projection: Linear?

    /// - Parameters:
    ///   - root: the weights
    ///   - config: their shapes
    ///   - vectors: `[count, width]`: textual inversions, whose ids follow the vocabulary
    /// - Throws: `InputError` for a weight that is missing or has another shape
    init(_ root: ModuleWeights, config: CLIPConfig, vectors: Tensor? = nil) throws {
        self.config = config
        // Transformers 5 writes plain text models without this prefix.
        let weights =
            root["text_model"]["embeddings"].has("token_embedding.weight")
            ? root["text_model"] : root
        tokenTable = try weights["embeddings"]["token_embedding"].table(
            config.vocabulary,
            config.width,
            more: vectors
        )
        positionTable = try weights["embeddings"]["position_embedding"].table(
            config.tokens,
            config.width
        )
        layers = try (0..<config.layers).map {
            try CLIPLayer(weights["encoder"]["layers"][$0], config: config)
        }
        finalNorm = try weights["final_layer_norm"].layerNorm(
            config.width,
            epsilon: config.normEpsilon
        )
        projection = try config.projection.map {
            try root["text_projection"].linear(config.width, $0, bias: false)
        }
    }

    /// Encodes at most `tokens` token ids.
    ///
    /// - Parameters:
    ///   - ids: ids below `vocabulary`, or of `vectors`
    ///   - skipped: number of last layers that `hidden` leaves out
    /// - Returns: the hidden states and the pooled embedding
    func callAsFunction(_ ids: [Int], skipped: Int = 0) -> Encoding {
        let backend = finalNorm.backend
        var h = backend.add(
            backend.embed([ids], tokenTable),
            backend.embed([Array(ids.indices)], positionTable)
        )
        var hidden = h
        for (i, layer) in layers.enumerated() {
            h = layer(h)
            if i < layers.count - skipped { hidden = h }
        }
        let last = finalNorm(h)
        let pooled = projection.map { projection in
            // Ids of textual inversions are higher than the end token's.
            let known = ids.map { $0 < config.vocabulary ? $0 : 0 }
            let at = config.pooling.position(in: known) * config.width
            let token = backend.download(last).withFloats { Array($0[at..<at + config.width]) }
            return backend.download(
                projection(backend.upload(Tensor(token, shape: [1, config.width])))
            )
        }
        return Encoding(last: last, hidden: hidden, pooled: pooled)
    }
}

/// One layer of CLIP's text model.
struct CLIPLayer {
    let norm1: LayerNorm
    let queriesKeysValues: Linear
    let out: Linear
    let norm2: LayerNorm
    let widen: Linear
    let narrow: Linear
    let config: CLIPConfig

    init(_ weights: ModuleWeights, config: CLIPConfig) throws {
        let width = config.width
        norm1 = try weights["layer_norm1"].layerNorm(width, epsilon: config.normEpsilon)
        queriesKeysValues = try weights["self_attn"].sideBySide(
            ["q_proj", "k_proj", "v_proj"],
            width,
            width,
            bias: true
        )
        out = try weights["self_attn"]["out_proj"].linear(width, width)
        norm2 = try weights["layer_norm2"].layerNorm(width, epsilon: config.normEpsilon)
        widen = try weights["mlp"]["fc1"].linear(width, config.innerWidth)
        narrow = try weights["mlp"]["fc2"].linear(config.innerWidth, width)
        self.config = config
    }

    /// `[1, tokens, width]` to the same shape.
    func callAsFunction(_ x: Activation) -> Activation {
        let width = config.width
        let all = queriesKeysValues(norm1(x))
        let mixed = out.backend.attention(
            all.columns(from: 0, count: width),
            all.columns(from: width, count: width),
            all.columns(from: 2 * width, count: width),
            heads: config.heads,
            causal: true
        )
        let h = out(mixed, plus: x)
        return narrow(widen(norm2(h), then: config.activation), plus: h)
    }
}
