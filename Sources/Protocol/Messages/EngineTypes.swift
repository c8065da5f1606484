import Engine

extension ModelIdentity {
    /// Reads all weights of the UNet and the VAE once.
    ///
    /// - Throws: `InputError` when a file is missing
    package init(of model: Model) throws(InputError) {
        self.init(digest: try model.digest(), path: model.path)
    }
}

extension PromptTensors {
    /// What the text encoders made of a prompt.
    package init(_ embedding: PromptEmbedding) {
        self.init(context: embedding.context, pooled: embedding.pooled)
    }
}
