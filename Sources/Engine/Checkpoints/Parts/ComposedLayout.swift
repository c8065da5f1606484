/// A model whose parts come from several places: its own files, `--base` for parts that it lacks, and `--vae`.
struct ComposedLayout: ModelLayout {
    let path: String
    let missing: [MissingPart]
    private let main: any ModelLayout
    private let base: (path: String, layout: any ModelLayout)?
    private let vae: VAESource?

    var family: ModelFamily { main.family }
    var titles: [String] { main.titles }
    var ignored: [(name: String, count: Int)] { main.ignored }
    var forceZerosForEmptyPrompt: Bool { owner(.textEncoder).forceZerosForEmptyPrompt }
    // The base's scheduler was made for the base.
    var tellsItsScheduler: Bool { main.tellsItsScheduler }
    var statedPrediction: StatedPrediction? { main.statedPrediction }

    var kind: String {
        main.kind + (base.map { ", completed by \($0.path)" } ?? "")
            + (vae.map { ", with the VAE of \($0.path)" } ?? "")
    }

    /// - Parameters:
    ///   - path: the model's path
    ///   - main: the model's own parts
    ///   - base: the model that provides the parts that it lacks
    ///   - vae: the VAE that replaces its own
    /// - Throws: `InputError` if the parts do not belong together, or the base is not needed
    init(
        path: String,
        _ main: any ModelLayout,
        base: (path: String, layout: any ModelLayout)?,
        vae: VAESource?
    ) throws(InputError) {
        (self.path, self.main, self.base, self.vae) = (path, main, base, vae)
        let gaps = main.missing.filter { $0.name != Component.vae.rawValue || vae == nil }
        guard let base else {
            missing = gaps
            return
        }
        let place = "--base \(base.path)"
        guard !main.missing.isEmpty else {
            throw InputError(
                place,
                "it is only for models that lack parts, and this one is complete",
                fix: "Leave it out"
            )
        }
        guard base.layout.family == main.family else {
            throw InputError(
                place,
                "it is of another family, \(base.layout.family.name): the model is "
                    + main.family.name,
                fix: "Name a model of the same family"
            )
        }
        let lacking = Set(base.layout.missing.map(\.name))
        missing = gaps.filter { lacking.contains($0.name) }
    }

    /// The layout that provides a component other than the VAE.
    private func owner(_ component: Component) -> any ModelLayout {
        let isMissing = main.missing.contains { $0.name == component.rawValue }
        return isMissing ? base?.layout ?? main : main
    }

    /// The layout that provides the scheduler: a single file has none of its own.
    private var scheduling: any ModelLayout {
        main.tellsItsScheduler ? main : base?.layout ?? main
    }

    var predictionSource: String {
        main.statedPrediction?.source ?? scheduling.predictionSource
    }

    var predictionIsGuess: Bool {
        main.statedPrediction == nil && scheduling.predictionIsGuess
    }

    func config(_ component: Component) throws(InputError) -> ConfigReader {
        switch component {
        case .unet: return try owner(.unet).unetConfig(like: try? base?.layout.config(.unet))
        case .vae:
            guard let vae else { return try owner(.vae).config(.vae) }
            return try vae.config(scaling: try latentScaling())
        case .textEncoder, .textEncoder2: return try owner(component).config(component)
        }
    }

    func unetConfig(like base: ConfigReader?) throws(InputError) -> ConfigReader {
        try config(.unet)
    }

    func latentScaling() throws(InputError) -> [String: JSON] {
        // A single file without a VAE knows the scaling of its family; a lone UNet does not.
        if let scaling = try? main.latentScaling() { return scaling }
        return try base?.layout.latentScaling() ?? [:]
    }

    func schedulerConfig() throws(InputError) -> ConfigReader {
        let reader = try scheduling.schedulerConfig()
        guard base != nil, !main.tellsItsScheduler, let stated = main.statedPrediction else {
            return reader
        }
        var fields = reader.json
        fields["prediction_type"] = .string(stated.type.rawValue)
        if stated.hasZeroSNR {
            fields["rescale_betas_zero_snr"] = .bool(true)
            fields["timestep_spacing"] = .string("trailing")
        }
        return try ConfigReader(.object(fields), place: reader.place)
    }

    func weights(_ component: Component) throws(InputError) -> WeightTable {
        if component == .vae, let vae { return try vae.weights() }
        return try owner(component).weights(component)
    }

    func files(_ component: Component) throws(InputError) -> [String] {
        if component == .vae, let vae { return try vae.files() }
        return try owner(component).files(component)
    }

    func tokenizer(_ component: Component) throws -> CLIPTokenizer {
        try owner(component).tokenizer(component)
    }

    func tokenizerPlace(_ component: Component) throws(InputError) -> String {
        try owner(component).tokenizerPlace(component)
    }

    func addIdentity(of components: [Component], to hash: FileHash) throws(InputError) {
        for component in components {
            if component == .vae, let vae {
                try vae.addIdentity(to: hash)
            } else {
                try owner(component).addIdentity(of: [component], to: hash)
            }
        }
    }
}
