/// A part that a model lacks.
struct MissingPart: Sendable {
    /// By its folder's name in Diffusers layout.
    let name: String
    let error: InputError
}

/// How a model lies on the disk: where its configurations and weights come from.
protocol ModelLayout: Sendable {
    /// What people call this way of keeping a model.
    var kind: String { get }
    var family: ModelFamily { get }
    /// Whether "no negative prompt" means zeros instead of the empty prompt's embedding.
    var forceZerosForEmptyPrompt: Bool { get }
    /// Parts that are not there.
    var missing: [MissingPart] { get }
    /// How it is known what the network predicts.
    var predictionSource: String { get }
    /// Whether nothing says it.
    var predictionIsGuess: Bool { get }
    /// What the model is called: by its name, and by what it says of itself.
    var titles: [String] { get }
    /// Whether it comes with a scheduler of its own.
    var tellsItsScheduler: Bool { get }
    /// Names before the first dot of tensors that belong to no part, and how many there are.
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
    /// Adds whatever the UNet and the VAE are computed from.
    func addIdentity(to hash: FileHash) throws(InputError)
}
