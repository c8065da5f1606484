/// What the user says about a model besides its path.
package struct ModelOptions: Sendable, Equatable {
    /// A folder of configurations in the Diffusers layout, for a single file: what it contains overrides
    /// what the file implies.
    package var config: String?
    /// A folder with vocab.json and merges.txt, or with `tokenizer` and `tokenizer_2`, for a single
    /// file.
    package var tokenizer: String?
    /// The folder of the vocabulary shipped with the program, for single files without one.
    package var vocabulary: String?
    /// The prediction type, overriding the files.
    package var prediction: PredictionType?
    /// LoRA files to merge, in order.
    package var loras: [LoRASource]
    /// Textual inversions for the prompts.
    package var embeddings: [EmbeddingSource]

    package init(
        config: String? = nil,
        tokenizer: String? = nil,
        vocabulary: String? = nil,
        prediction: PredictionType? = nil,
        loras: [LoRASource] = [],
        embeddings: [EmbeddingSource] = []
    ) {
        self.embeddings = embeddings
        self.config = config
        self.tokenizer = tokenizer
        self.vocabulary = vocabulary
        self.prediction = prediction
        self.loras = loras
    }
}
