/// The tokenizers and text encoders of a model.
///
/// SD 1 and 2 use the last hidden state of their only encoder. SDXL uses the states before the last layer of both its
/// encoders, concatenated, and the pooled embedding of the second. A prompt of several chunks gets the contexts of all
/// chunks, one after another, and the pooled embedding of the first.
package final class PromptEncoder {
    private struct Stage {
        let place: String
        let tokenizer: PromptTokenizer
        /// Number of last layers that are skipped.
        let skipped: Int
        let network: CLIPTextNetwork
        let backend: any Backend

        init(
            model: Model,
            component: Component,
            tokenizer: PromptTokenizer,
            backend: any Backend,
            clipSkip: Int?
        ) throws {
            place = "\(model.path)/\(component.rawValue)"
            self.tokenizer = tokenizer
            let config = try model.textConfig(component)
            skipped = try config.skippedLayers(clipSkip, of: model.family, place: place)
            let reader = try model.weights(component)
            network = try CLIPTextNetwork(
                ModuleWeights(reader: reader, backend: backend),
                config: config,
                vectors: tokenizer.vectors
            )
            try reader.finish()
            try backend.check()
            self.backend = backend
        }

        /// Encodes a chunk.
        func encode(_ chunk: [PromptToken]) throws -> CLIPTextNetwork.Encoding {
            let ids = tokenizer.base.chunk(chunk.map(\.id))
            let config = network.config
            let known = config.vocabulary + (tokenizer.vectors?.shape[0] ?? 0)
            guard ids.count <= config.tokens, ids.allSatisfy({ $0 < known }) else {
                throw InputError(
                    place,
                    "knows \(config.vocabulary) tokens, its tokenizer has more",
                    fix: "Use the tokenizer that belongs to this text encoder"
                )
            }
            return network(ids, skipped: skipped)
        }
    }

    /// Multiplies the states of tokens by their weights, then restores the overall mean, as A1111 does.
    ///
    /// - Parameters:
    ///   - context: `[1, tokens, width]`
    ///   - chunk: tokens after the start token
    /// - Returns: the same shape
    static func weighted(_ context: Tensor, _ chunk: [PromptToken]) -> Tensor {
        guard chunk.contains(where: { $0.weight != 1 }) else { return context }
        var result = context
        let width = context.shape[2]
        result.withMutableFloats { x in
            let before = x.reduce(0.0) { $0 + Double($1) }
            let size = x.reduce(0.0) { $0 + Double(abs($1)) }
            for (i, token) in chunk.enumerated() {
                for j in 0..<width { x[(i + 1) * width + j] *= token.weight }
            }
            let after = x.reduce(0.0) { $0 + Double($1) }
            // A mean that is zero up to rounding says nothing about the size of the states.
            guard min(abs(before), abs(after)) > 1e-6 * size else { return }
            let factor = before / after
            for i in x.indices { x[i] = Float(Double(x[i]) * factor) }
        }
        return result
    }

    private let first: Stage
    private let second: Stage?
    /// Whether the UNet needs a pooled embedding, and hidden states without the last norm.
    private let isPooled: Bool
    private let zerosForNoPrompt: Bool

    /// Reads configurations and weights, and also the tokenizers unless the prompts are already tokenized.
    ///
    /// Throws `InputError` for a missing or unusable file.
    package init(
        model: Model,
        options: EngineOptions,
        prompts: PromptPair? = nil,
        clipSkip: Int? = nil
    ) throws {
        let backend = try options.makeBackend()
        let tokenizers = try prompts?.tokenizers ?? model.promptTokenizers()
        let stages = try zip(model.family.textEncoders, tokenizers).map { component, tokenizer in
            try Stage(
                model: model,
                component: component,
                tokenizer: tokenizer,
                backend: backend,
                clipSkip: clipSkip
            )
        }
        try backend.check()
        first = stages[0]
        second = stages.count > 1 ? stages[1] : nil
        (isPooled, zerosForNoPrompt) = (
            model.family.isXL, model.family.isXL && model.forceZerosForEmptyPrompt
        )
    }

    private var tokenizers: [PromptTokenizer] { [first, second].compactMap { $0?.tokenizer } }

    /// Encodes a prompt.
    ///
    /// - Parameters:
    ///   - prompt: any text
    ///   - count: number of chunks in the result; a shorter prompt is padded with empty chunks
    /// - Returns: the embedding for the UNet
    /// - Throws: `InputError` for a prompt with too many chunks, or with tokens that an encoder does not know
    package func encode(_ prompt: String, chunks count: Int = 1) throws -> Embedding {
        try encode(chunks(prompt, "--prompt"), chunks: count)
    }

    private func chunks(_ prompt: String, _ flag: String) throws(InputError) -> PromptChunks {
        let fragments = PromptFragment.plain(prompt)
        return try PromptChunks(tokenizers.map { _ in fragments }, tokenizers, flag: flag)
    }

    /// Encodes a tokenized prompt, like `encode(_:chunks:)` of its text.
    package func encode(_ prompt: PromptChunks, chunks count: Int = 1) throws -> Embedding {
        var known: [[[PromptToken]]: Embedding] = [:]
        var contexts: [Tensor] = []
        var pooled: Tensor?
        for i in 0..<max(count, prompt.count) {
            // Padding chunks are the empty prompt.
            let chunk = prompt.chunks.map { i < $0.count ? $0[i] : [] }
            let embedding = try known[chunk] ?? encodeInMemory(chunk)
            guard embedding.context.isFinite, embedding.pooled?.isFinite ?? true else {
                throw InputError(
                    first.place,
                    "it encodes the prompt to NaN or infinity",
                    fix:
                        "Use weights of words nearer to 1, or other textual inversions and adapters"
                )
            }
            known[chunk] = embedding
            contexts.append(embedding.context)
            if i == 0 { pooled = embedding.pooled }
        }
        return Embedding(context: Tensor.oneAfterAnother(contexts), pooled: pooled)
    }

    /// Like `encode`, with one retry if memory is too small, because the library has emptied its cache by then. If the
    /// retry fails too, the error names the size.
    private func encodeInMemory(_ chunk: [[PromptToken]]) throws -> Embedding {
        func checked() throws -> Embedding {
            let embedding = try encode(chunk)
            try first.backend.check()
            return embedding
        }
        do {
            return try checked()
        } catch let shortage as DeviceError where shortage.kind == .outOfMemory {
            do {
                return try checked()
            } catch let error as DeviceError where error.kind == .outOfMemory {
                throw error.atPrompt(tokens: first.network.config.tokens)
            }
        }
    }

    /// Encodes one chunk, given its tokens for each encoder.
    private func encode(_ chunk: [[PromptToken]]) throws -> Embedding {
        let one = try first.encode(chunk[0])
        let backend = first.backend
        guard let second else {
            if isPooled {
                let context = Self.weighted(backend.download(one.hidden), chunk[0])
                return Embedding(context: context, pooled: one.pooled)
            }
            // The final norm follows the skipped layers, so it is applied here.
            let last = first.skipped == 0 ? one.last : first.network.finalNorm(one.hidden)
            return Embedding(
                context: Self.weighted(backend.download(last), chunk[0]),
                pooled: nil
            )
        }
        let two = try second.encode(chunk[1])
        guard chunk.contains(where: { $0.contains { $0.weight != 1 } }) else {
            let context = backend.concatChannels(one.hidden, two.hidden)
            return Embedding(context: backend.download(context), pooled: two.pooled)
        }
        let parts = [
            Self.weighted(backend.download(one.hidden), chunk[0]),
            Self.weighted(backend.download(two.hidden), chunk[1]),
        ]
        return Embedding(
            context: backend.download(
                backend.concatChannels(backend.upload(parts[0]), backend.upload(parts[1]))
            ),
            pooled: two.pooled
        )
    }

    /// Encodes the negative prompt. Without one: zeros for models that ask for them, else the empty prompt.
    ///
    /// - Parameters:
    ///   - prompt: any text; nil for no negative prompt
    ///   - count: number of chunks, as for the prompt itself
    /// - Returns: the embedding for the UNet
    /// - Throws: as `encode(_:chunks:)`
    package func encodeNegative(_ prompt: String?, chunks count: Int = 1) throws -> Embedding {
        try encodeNegative(
            chunks(prompt ?? "", "--negative-prompt"),
            isGiven: prompt != nil,
            chunks: count
        )
    }

    /// The same for a tokenized negative prompt.
    func encodeNegative(
        _ prompt: PromptChunks,
        isGiven: Bool,
        chunks count: Int
    ) throws -> Embedding {
        let embedding = try encode(prompt, chunks: count)
        guard !isGiven && zerosForNoPrompt else { return embedding }
        return Embedding(
            context: Tensor(zeros: embedding.context.shape),
            pooled: embedding.pooled.map { Tensor(zeros: $0.shape) }
        )
    }
}

extension Model {
    /// Rejects a `--clip-skip` beyond the layers of the text encoders.
    ///
    /// - Throws: `InputError` naming the flag
    package func checkClipSkip(_ clipSkip: Int?) throws {
        guard clipSkip != nil else { return }
        for component in family.textEncoders {
            _ = try textConfig(component).skippedLayers(
                clipSkip,
                of: family,
                place: "\(path)/\(component.rawValue)"
            )
        }
    }
}

extension CLIPConfig {
    /// Number of last layers to skip.
    ///
    /// - Parameters:
    ///   - clipSkip: 1 reads the last layer, 2 the one before it, as A1111 and ComfyUI count;
    ///     nil for the family's default
    ///   - family: SDXL reads the layer before the last, without the final norm
    ///   - place: path of the text encoder, for errors
    /// - Returns: how many of the stored layers to skip
    /// - Throws: `InputError` if too many would be skipped
    func skippedLayers(
        _ clipSkip: Int?,
        of family: ModelFamily,
        place: String
    ) throws(InputError) -> Int {
        let standard = family.isXL ? 2 : 1
        guard let clipSkip else { return standard - 1 }
        guard clipSkip >= standard else {
            throw InputError(
                "--clip-skip \(clipSkip)",
                "Stable Diffusion XL reads the layer before the last",
                fix: "Choose 2, its own, or more"
            )
        }
        // Some text encoders are saved without their last layers, which nothing would read.
        let whole = [768: 12, 1024: 24, 1280: 32][width] ?? layers
        let missing = layers < whole && whole - layers < 4 ? whole - layers : 0
        let skipped = max(0, clipSkip - 1 - missing)
        guard skipped < layers else {
            throw InputError(
                "--clip-skip \(clipSkip)",
                "\(place) has \(layers) layers",
                fix: "Choose at most \(layers)"
            )
        }
        return skipped
    }
}

extension Tensor {
    /// Concatenates tensors `[1, tokens, width]` along their tokens; a single one is returned unchanged.
    fileprivate static func oneAfterAnother(_ parts: [Tensor]) -> Tensor {
        guard parts.count > 1 else { return parts[0] }
        let width = parts[0].shape[2]
        return Tensor(
            parts.flatMap(\.values),
            shape: [1, parts.map { $0.shape[1] }.reduce(0, +), width]
        )
    }
}
