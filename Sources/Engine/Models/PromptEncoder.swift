/// The tokenizers and text encoders of a model.
///
/// SD 1 and 2 take the last hidden state of their one encoder; SDXL takes the states before the
/// last layer of both of its encoders, concatenated, and the pooled embedding of the second. A prompt of
/// several chunks has the contexts of all, one after the other, and the pooled embedding of the first.
package final class PromptEncoder {
    private struct Stage {
        let place: String
        let tokenizer: CLIPTokenizer
        let network: CLIPTextNetwork
        let backend: any Backend

        init(
            model: Model,
            component: Component,
            tokenizer: CLIPTokenizer,
            backend: any Backend
        ) throws {
            place = "\(model.path)/\(component.rawValue)"
            self.tokenizer = tokenizer
            let config = try model.textConfig(component)
            let reader = try model.weights(component)
            network = try CLIPTextNetwork(
                ModuleWeights(reader: reader, backend: backend),
                config: config
            )
            try reader.finish()
            self.backend = backend
        }

        /// Encodes a chunk, given its token ids.
        func encode(_ chunk: [Int]) throws -> CLIPTextNetwork.Encoding {
            let ids = tokenizer.chunk(chunk)
            let config = network.config
            guard ids.count <= config.tokens, ids.allSatisfy({ $0 < config.vocabulary }) else {
                throw InputError(
                    place,
                    "knows \(config.vocabulary) tokens, its tokenizer has more",
                    fix: "Use the tokenizer that belongs to this text encoder"
                )
            }
            return network(ids)
        }
    }

    private let first: Stage
    private let second: Stage?
    private let zerosForNoPrompt: Bool

    /// Reads configurations and weights, and the tokenizers unless the prompts are tokenized already.
    ///
    /// Throws `InputError` for a missing or unusable file.
    package init(model: Model, options: EngineOptions, prompts: PromptPair? = nil) throws {
        let backend = try options.makeBackend()
        let tokenizers = try prompts?.tokenizers ?? model.tokenizers()
        first = try Stage(
            model: model,
            component: .textEncoder,
            tokenizer: tokenizers[0],
            backend: backend
        )
        second =
            model.family == .sdxl
            ? try Stage(
                model: model,
                component: .textEncoder2,
                tokenizer: tokenizers[1],
                backend: backend
            ) : nil
        zerosForNoPrompt = model.family == .sdxl && model.forceZerosForEmptyPrompt
    }

    private var tokenizers: [CLIPTokenizer] { [first, second].compactMap { $0?.tokenizer } }

    /// Encodes a prompt.
    ///
    /// - Parameters:
    ///   - prompt: any text
    ///   - count: chunks of the result; a shorter prompt is padded with empty ones
    /// - Returns: what the UNet takes
    /// - Throws: `InputError` for a prompt of too many chunks or tokens that an encoder lacks
    package func encode(_ prompt: String, chunks count: Int = 1) throws -> Embedding {
        try encode(PromptChunks(prompt, tokenizers, flag: "--prompt"), chunks: count)
    }

    /// Encodes a tokenized prompt, like `encode(_:chunks:)` of its text.
    package func encode(_ prompt: PromptChunks, chunks count: Int = 1) throws -> Embedding {
        var known: [[[Int]]: Embedding] = [:]
        var contexts: [Tensor] = []
        var pooled: Tensor?
        for i in 0..<max(count, prompt.count) {
            // The padding is the empty prompt.
            let chunk = prompt.chunks.map { i < $0.count ? $0[i] : [] }
            let embedding = try known[chunk] ?? encode(chunk)
            known[chunk] = embedding
            contexts.append(embedding.context)
            if i == 0 { pooled = embedding.pooled }
        }
        return Embedding(context: Tensor.oneAfterAnother(contexts), pooled: pooled)
    }

    /// Encodes one chunk, ids for each encoder.
    private func encode(_ chunk: [[Int]]) throws -> Embedding {
        let one = try first.encode(chunk[0])
        guard let second else {
            return Embedding(context: first.backend.download(one.last), pooled: nil)
        }
        let two = try second.encode(chunk[1])
        let context = first.backend.concatChannels(one.penultimate, two.penultimate)
        return Embedding(context: first.backend.download(context), pooled: two.pooled)
    }

    /// Encodes the negative prompt; without one, zeros for models that ask for them, else
    /// the empty prompt.
    ///
    /// - Parameters:
    ///   - prompt: any text, or none
    ///   - count: as for the prompt itself
    /// - Returns: what the UNet takes
    /// - Throws: as `encode(_:chunks:)`
    package func encodeNegative(_ prompt: String?, chunks count: Int = 1) throws -> Embedding {
        let chunks = try PromptChunks(prompt ?? "", tokenizers, flag: "--negative-prompt")
        let embedding = try encode(chunks, chunks: count)
        guard prompt == nil && zerosForNoPrompt else { return embedding }
        return Embedding(
            context: Tensor(zeros: embedding.context.shape),
            pooled: embedding.pooled.map { Tensor(zeros: $0.shape) }
        )
    }
}

extension Tensor {
    /// Tensors `[1, tokens, width]` as one of all their tokens; one alone is itself.
    fileprivate static func oneAfterAnother(_ parts: [Tensor]) -> Tensor {
        guard parts.count > 1 else { return parts[0] }
        let width = parts[0].shape[2]
        return Tensor(
            parts.flatMap(\.values),
            shape: [1, parts.map { $0.shape[1] }.reduce(0, +), width]
        )
    }
}
