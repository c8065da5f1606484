/// A family of models: how prompts become embeddings, what the denoiser takes and predicts, and the geometry of its
/// latents. A second family is a type of its own and a line in `Model.architecture`; besides that only the code that
/// opens models, in `Checkpoints`, needs to recognise it.
package protocol ModelArchitecture: Sendable {
    /// Native size, latent factor and channels, conditioning ids of views, and how its autoencoder works in tiles. Reads only
    /// configurations.
    ///
    /// - Throws: `InputError` for an option that is not supported
    func geometry() throws -> ModelGeometry

    /// Encodes prompts.
    ///
    /// - Parameters:
    ///   - prompts: cut into chunks
    ///   - guided: whether the negative prompt is used at all
    ///   - clipSkip: last layer of the text encoders that is read, counted from the end; nil for the family's
    ///   - options: how the text encoders are computed
    /// - Returns: embeddings of each turn: one positive for each part that AND joins, and no negative one where it is
    ///   not used
    /// - Throws: `InputError` from the text encoders' files
    func embeddings(
        of prompts: PromptPair,
        guided: Bool,
        clipSkip: Int?,
        options: EngineOptions
    ) throws -> [(positives: [Embedding], negative: Embedding?)]

    /// Loads the denoiser.
    ///
    /// - Throws: `InputError` for a missing or unusable file, or options that this build does not support
    func denoiser(_ options: EngineOptions) throws -> any Denoiser

    /// Loads a half of the autoencoder.
    ///
    /// - Throws: as `denoiser`
    func autoencoder(_ half: AutoencoderHalf, _ options: EngineOptions) throws -> VAE
}

/// A denoising network, ready to predict.
package protocol Denoiser: AnyObject {
    /// Where the weights came from.
    var origin: WeightCache.Origin { get }

    /// Makes an evaluation for a batch of latents at one timestep; every row is bit-identical in any batch.
    /// Parameters, result and errors are those of `ModelNetworks.evaluation`.
    func evaluation(
        of input: DenoiserInput,
        cancellation: Cancellation
    ) throws -> any DenoiserEvaluation
}

extension UNet: Denoiser {}

extension Model {
    /// The model's family.
    package var architecture: any ModelArchitecture {
        switch family {
        case .sd1, .sd2, .sdxl, .sdxlRefiner: StableDiffusion(model: self)
        }
    }
}
