/// The tokenizers and text encoders of a model.
///
/// SD 1 and 2 take the last hidden state of their one encoder; SDXL takes the states before the
/// last layer of both of its encoders, side by side, and the pooled embedding of the second.
package final class PromptEncoder {
    private struct Stage {
        let place: String
        let tokenizer: CLIPTokenizer
        let network: CLIPTextNetwork
        let backend: any Backend

        init(model: Model, component: Component, backend: any Backend) throws {
            place = "\(model.path)/\(component.rawValue)"
            tokenizer = try model.tokenizer(component)
            let config = try model.textConfig(component)
            let reader = try model.weights(component)
            network = try CLIPTextNetwork(
                ModuleWeights(reader: reader, backend: backend),
                config: config
            )
            try reader.finish()
            self.backend = backend
        }

        func encode(_ prompt: String) throws -> CLIPTextNetwork.Encoding {
            let ids = tokenizer.encode(prompt)
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

    /// Reads the tokenizers, configurations and weights.
    ///
    /// Throws `InputError` for a missing or unusable file.
    package init(model: Model, options: EngineOptions) throws {
        let backend = try options.makeBackend()
        first = try Stage(model: model, component: .textEncoder, backend: backend)
        second =
            model.family == .sdxl
            ? try Stage(model: model, component: .textEncoder2, backend: backend) : nil
        zerosForNoPrompt = model.family == .sdxl && model.forceZerosForEmptyPrompt
    }

    /// Encodes a prompt; what does not fit into 77 tokens is cut off.
    package func encode(_ prompt: String) throws -> Embedding {
        let one = try first.encode(prompt)
        guard let second else {
            return Embedding(context: first.backend.download(one.last), pooled: nil)
        }
        let two = try second.encode(prompt)
        let context = first.backend.concatChannels(one.penultimate, two.penultimate)
        return Embedding(context: first.backend.download(context), pooled: two.pooled)
    }

    /// Encodes what guidance leads away from; no prompt is zeros for models that ask for it, else
    /// the empty prompt.
    package func encodeNegative(_ prompt: String?) throws -> Embedding {
        let embedding = try encode(prompt ?? "")
        guard prompt == nil && zerosForNoPrompt else { return embedding }
        return Embedding(
            context: Tensor(zeros: embedding.context.shape),
            pooled: embedding.pooled.map { Tensor(zeros: $0.shape) }
        )
    }
}
