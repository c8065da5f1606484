/// What a person says about a model besides where it is.
package struct ModelOptions: Sendable, Equatable {
    /// A folder of configurations in Diffusers layout, for a single file: what is there goes before
    /// what the file tells.
    package var config: String?
    /// A folder with vocab.json and merges.txt, or with `tokenizer` and `tokenizer_2`, for a single
    /// file.
    package var tokenizer: String?
    /// The folder of the vocabulary that comes with the program, for single files without one.
    package var vocabulary: String?
    /// What the network predicts, whatever the files say.
    package var prediction: PredictionType?
    /// LoRA files to merge, in order.
    package var loras: [LoRASource]

    package init(
        config: String? = nil,
        tokenizer: String? = nil,
        vocabulary: String? = nil,
        prediction: PredictionType? = nil,
        loras: [LoRASource] = []
    ) {
        self.config = config
        self.tokenizer = tokenizer
        self.vocabulary = vocabulary
        self.prediction = prediction
        self.loras = loras
    }
}
