/// A part that a model lacks.
struct MissingPart: Sendable {
    /// The name of its folder in the Diffusers layout.
    let name: String
    let error: InputError
}

/// A model's layout on disk: where its configurations and weights come from.
protocol ModelLayout: Sendable {
    /// The format, as shown to users.
    var kind: String { get }
    var family: ModelFamily { get }
    /// Whether "no negative prompt" means zeros instead of the empty prompt's embedding.
    var forceZerosForEmptyPrompt: Bool { get }
    /// The parts that it lacks.
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
    /// Where a component's weights are stored, under Diffusers' names.
    func weights(_ component: Component) throws(InputError) -> WeightTable
    /// The files that a component's weights are read from.
    func files(_ component: Component) throws(InputError) -> [String]
    /// The tokenizer of a text encoder.
    func tokenizer(_ component: Component) throws -> CLIPTokenizer
    /// Where a text encoder's tokenizer is read from.
    func tokenizerPlace(_ component: Component) throws(InputError) -> String
    /// Hashes everything that the given components, the UNet, the VAE or both, are computed from.
    func addIdentity(of components: [Component], to hash: FileHash) throws(InputError)

    /// The UNet's configuration, taken from another model with the same UNet if necessary.
    func unetConfig(like base: ConfigReader?) throws(InputError) -> ConfigReader
    /// How latents are scaled, as fields of a VAE's configuration, for a VAE that does not state it.
    func latentScaling() throws(InputError) -> [String: JSON]
    /// What the UNet predicts, if its own file states it.
    var statedPrediction: StatedPrediction? { get }
}

/// The prediction type that a UNet's file states.
struct StatedPrediction: Sendable {
    let type: PredictionType
    /// Where it is stated.
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
