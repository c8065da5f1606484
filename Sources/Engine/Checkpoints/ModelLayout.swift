/// A part that a model lacks.
struct MissingPart: Sendable {
    /// By its folder's name in Diffusers layout.
    let name: String
    let error: InputError
}

/// A model's layout on disk: where its configurations and weights come from.
protocol ModelLayout: Sendable {
    /// The format, as shown to people.
    var kind: String { get }
    var family: ModelFamily { get }
    /// Whether "no negative prompt" means zeros instead of the empty prompt's embedding.
    var forceZerosForEmptyPrompt: Bool { get }
    /// Missing parts.
    var missing: [MissingPart] { get }
    /// The source of the prediction type.
    var predictionSource: String { get }
    /// Whether nothing states the prediction type.
    var predictionIsGuess: Bool { get }
    /// The model's titles: its name, and those in its metadata.
    var titles: [String] { get }
    /// Whether it comes with its own scheduler.
    var tellsItsScheduler: Bool { get }
    /// The first parts of the names of tensors that belong to no component, with their counts.
    var ignored: [(name: String, count: Int)] { get }

    /// A component's configuration, in Diffusers' terms.
    func config(_ component: Component) throws(InputError) -> ConfigReader
    /// The scheduler's configuration, in Diffusers' terms.
    func schedulerConfig() throws(InputError) -> ConfigReader
    /// Where a component's weights are, under Diffusers' names.
    func weights(_ component: Component) throws(InputError) -> WeightTable
    /// The files that a component's weights are read from.
    func files(_ component: Component) throws(InputError) -> [String]
    /// The tokenizer of a text encoder.
    func tokenizer(_ component: Component) throws -> CLIPTokenizer
    /// Where a text encoder's tokenizer is read from.
    func tokenizerPlace(_ component: Component) throws(InputError) -> String
    /// Hashes everything that the UNet and the VAE are computed from, or one of them.
    func addIdentity(of components: [Component], to hash: FileHash) throws(InputError)

    /// The UNet's configuration, where it may have to be taken from another model with the same UNet.
    func unetConfig(like base: ConfigReader?) throws(InputError) -> ConfigReader
    /// How latents are scaled, in the terms of a VAE's configuration, for a VAE that does not say it.
    func latentScaling() throws(InputError) -> [String: JSON]
    /// What the UNet predicts, as far as its own file says it.
    var statedPrediction: StatedPrediction? { get }
}

/// What a file says about what its UNet predicts.
struct StatedPrediction: Sendable {
    let type: PredictionType
    /// Where it says so.
    let source: String
    /// Whether the training schedule ends in pure noise.
    let hasZeroSNR: Bool
}

extension ModelLayout {
    func unetConfig(like base: ConfigReader?) throws(InputError) -> ConfigReader {
        try config(.unet)
    }

    func latentScaling() throws(InputError) -> [String: JSON] {
        let fields = try config(.vae).json
        return fields.filter { VAEConfig.scalingKeys.contains($0.key) }
    }

    var statedPrediction: StatedPrediction? { nil }
}
