import Foundation

/// A model in one file of the original layout (CompVis, Stability), recognised by its tensors.
struct SingleFile: ModelLayout {
    let path: String
    let family: ModelFamily
    let missing: [MissingPart]
    let ignored: [(name: String, count: Int)]
    private let options: ModelOptions
    private let file: SafeTensors
    private let prediction: Prediction
    private let unet: OriginalUNet?
    private let vae: OriginalVAE?
    private let texts: [Component: OriginalText]

    var kind: String { "single file in the original layout" }
    var forceZerosForEmptyPrompt: Bool { family == .sdxl }
    var titles: [String] {
        [URL(fileURLWithPath: path).deletingPathExtension().lastPathComponent]
            + ["modelspec.title", "ss_output_name"].compactMap { file.metadata[$0] }
    }
    var tellsItsScheduler: Bool { given("scheduler/scheduler_config.json") != nil }

    /// Reads the header.
    ///
    /// - Throws: `InputError` saying what the file is instead, if it is not such a model
    init(path: String, options: ModelOptions) throws(InputError) {
        self.path = path
        self.options = options
        file = try SafeTensors(file: path)
        try OriginalKinds.refuseOthers(file)

        let unetTensors = OriginalShapes(file, prefix: OriginalUNet.prefix)
        unet = unetTensors.isEmpty ? nil : try OriginalUNet(unetTensors)
        let vaeTensors = OriginalShapes(file, prefix: OriginalVAE.prefix)
        vae = vaeTensors.isEmpty ? nil : try OriginalVAE(vaeTensors)

        var texts: [Component: OriginalText] = [:]
        var prefixes = [OriginalUNet.prefix, OriginalVAE.prefix]
        for (prefix, component, kind) in OriginalKinds.texts {
            let tensors = OriginalShapes(file, prefix: prefix)
            guard !tensors.isEmpty else { continue }
            prefixes.append(prefix)
            texts[component] = try OriginalText(
                tensors,
                kind: kind,
                projected: component == .textEncoder2
            )
        }
        self.texts = texts

        let family = Self.family(unet, texts)
        self.family = family
        prediction = try Self.prediction(file, family, options)
        let found: Set<Component> = Set(texts.keys)
            .union(unet == nil ? [] : [.unet]).union(vae == nil ? [] : [.vae])
        missing = family.components.filter { !found.contains($0) }.map { component in
            MissingPart(
                name: component.rawValue,
                error: InputError(
                    path,
                    "it has no \(component.rawValue): there is no tensor "
                        + "'\(OriginalKinds.prefix(of: component, family))…'",
                    fix: component == .vae && !texts.isEmpty
                        ? "Give one with --vae"
                        : "Fetch the whole model, or name one that has it with --base"
                )
            )
        }

        let others = file.names.filter { name in !prefixes.contains { name.hasPrefix($0) } }
        ignored = Dictionary(grouping: others) { String($0.prefix { $0 != "." }) }
            .map { (name: $0.key, count: $0.value.count) }.sorted { $0.name < $1.name }
        try checkSizes()
    }

    private static func family(
        _ unet: OriginalUNet?,
        _ texts: [Component: OriginalText]
    ) -> ModelFamily {
        let isPair = texts[.textEncoder] != nil && texts[.textEncoder2] != nil
        switch (texts[.textEncoder2], unet?.family) {
        // A refiner uses only the second encoder's embeddings; otherwise the first encoder is missing.
        case (let text?, .sdxl?) where !isPair && (try? text.width()) == unet?.contextWidth:
            return .sdxlRefiner
        case (_, let family?): return family
        case (.some, nil): return isPair ? .sdxl : .sdxlRefiner
        case (nil, nil): return texts[.textEncoder]?.kind == .openCLIP ? .sd2 : .sd1
        }
    }

    /// Rejects parts that do not belong together, and UNets that need other inputs.
    private func checkSizes() throws(InputError) {
        guard let unet else { return }
        if let kind = OriginalKinds.specialInputs[unet.inChannels] {
            throw InputError(
                path,
                "it is a model \(kind): its UNet takes \(unet.inChannels) channels",
                fix: "Use a text-to-image model"
            )
        }
        guard missing.isEmpty else { return }
        var width = 0
        for component in family.components {
            guard let text = texts[component] else { continue }
            width += try text.width()
        }
        guard width == unet.contextWidth else {
            throw InputError(
                path,
                "its UNet takes prompts of \(unet.contextWidth) channels, its text encoders make "
                    + "\(width)",
                fix: "Fetch the whole model again"
            )
        }
    }

    // MARK: Configurations

    /// A file in the given folder of configurations, if there is one.
    private func given(_ name: String) -> String? {
        guard let folder = options.config else { return nil }
        let file = "\(folder)/\(name)"
        return FileManager.default.fileExists(atPath: file) ? file : nil
    }

    func config(_ component: Component) throws(InputError) -> ConfigReader {
        if let file = given("\(component.rawValue)/config.json") {
            return try ConfigReader(file: file)
        }
        let json: JSON
        switch component {
        case .unet:
            json = try part(unet, component).config(
                nativeSide: nativeSide(),
                pooledWidth: texts[.textEncoder2]?.projection,
                sizes: UNetConfig.TextTime.count(of: family)
            )
        case .vae: json = try part(vae, component).config(scaling: try latentScaling())
        case .textEncoder, .textEncoder2: json = try part(texts[component], component).config()
        }
        return try ConfigReader(json, place: "\(path) (its \(component.rawValue))")
    }

    func unetConfig(like base: ConfigReader?) throws(InputError) -> ConfigReader {
        guard given("unet/config.json") == nil, texts[.textEncoder2] == nil, let unet, var base
        else { return try config(.unet) }
        let place = base.place
        let fields = base.json
        let own = try UNetConfig.read(&base, sizes: UNetConfig.TextTime.count(of: family))
        return unet.fits(own) ? try ConfigReader(.object(fields), place: place) : try config(.unet)
    }

    func latentScaling() throws(InputError) -> [String: JSON] {
        guard isEDM else {
            return ["scaling_factor": .number(family.isXL ? 0.13025 : 0.18215)]
        }
        var fields: [String: JSON] = ["scaling_factor": .number(0.5)]
        for (key, name) in [("latents_mean", Self.edmMean), ("latents_std", Self.edmStd)] {
            fields[key] = .array(try file.tensor(name).values.map { .number(Double($0)) })
        }
        return fields
    }

    /// Whether it is Playground 2.5, which was trained on normalised latents with EDM's noise levels (Karras et al.,
    /// 2022).
    private var isEDM: Bool { file.info(Self.edmMean) != nil && file.info(Self.edmStd) != nil }
    private static let edmMean = "edm_mean"
    private static let edmStd = "edm_std"

    var statedPrediction: StatedPrediction? {
        guard !predictionIsGuess else { return nil }
        return StatedPrediction(
            type: prediction.type,
            source: predictionSource,
            hasZeroSNR: file.info("ztsnr") != nil
        )
    }

    func schedulerConfig() throws(InputError) -> ConfigReader {
        if let file = given("scheduler/scheduler_config.json") {
            return try ConfigReader(file: file)
        }
        guard !isEDM else {
            return try ConfigReader(
                .object([
                    "_class_name": .string("EDMDPMSolverMultistepScheduler"),
                    "prediction_type": .string(prediction.type.rawValue),
                ]),
                place: "\(path) (its scheduler)"
            )
        }
        var fields: [String: JSON] = [
            "_class_name": .string(family.isXL ? "EulerDiscreteScheduler" : "DDIMScheduler"),
            "num_train_timesteps": .number(1000),
            "beta_start": .number(0.00085),
            "beta_end": .number(0.012),
            "beta_schedule": .string("scaled_linear"),
            "prediction_type": .string(prediction.type.rawValue),
            "timestep_spacing": .string("leading"),
            "steps_offset": .number(1),
            "set_alpha_to_one": .bool(false),
            "clip_sample": .bool(false),
        ]
        if file.info("ztsnr") != nil {
            // Trained with zero terminal SNR (pure noise), so sampling must start there, too.
            fields["rescale_betas_zero_snr"] = .bool(true)
            fields["timestep_spacing"] = .string("trailing")
        }
        return try ConfigReader(.object(fields), place: "\(path) (its scheduler)")
    }

    var predictionSource: String {
        given("scheduler/scheduler_config.json") ?? prediction.source
    }

    var predictionIsGuess: Bool {
        given("scheduler/scheduler_config.json") == nil && prediction.isGuess
    }

    /// The prediction type, and its source.
    struct Prediction: Sendable {
        let type: PredictionType
        let source: String
        /// Whether nothing states it, and the most common one for such models is assumed.
        var isGuess = false
    }

    static func prediction(
        _ file: SafeTensors,
        _ family: ModelFamily,
        _ options: ModelOptions
    ) throws(InputError) -> Prediction {
        if let own = options.prediction { return Prediction(type: own, source: "--prediction") }
        let header = "the file's header"
        switch file.metadata["modelspec.prediction_type"] {
        case "epsilon", "eps": return Prediction(type: .epsilon, source: header)
        case "v", "v_prediction", "v-prediction":
            return Prediction(type: .vPrediction, source: header)
        default: break
        }
        if let (type, file) = try SiblingConfig.prediction(beside: file.path) {
            return Prediction(type: type, source: file)
        }
        if file.info("v_pred") != nil {
            return Prediction(type: .vPrediction, source: "the file's tensor 'v_pred'")
        }
        if family == .sd2, let spread = try spreadOfLastNorm(file), spread > 0 {
            return Prediction(
                type: spread > spreadOfEpsilon ? .vPrediction : .epsilon,
                source: String(
                    format: "the spread of %@, %.3f: above %.2f in models that predict v",
                    lastNorm,
                    spread,
                    spreadOfEpsilon
                ),
                isGuess: true
            )
        }
        return Prediction(
            type: family == .sd2 ? .vPrediction : .epsilon,
            source: "usual for \(family.name); the file does not say",
            isGuess: true
        )
    }

    /// The two base models of Stable Diffusion 2 have the same shapes and predict different things. The
    /// standard deviation of this bias distinguishes them, as ComfyUI found.
    private static let lastNorm = "output_blocks.11.1.transformer_blocks.0.norm1.bias"
    private static let spreadOfEpsilon = 0.09

    private static func spreadOfLastNorm(_ file: SafeTensors) throws(InputError) -> Double? {
        let name = OriginalUNet.prefix + lastNorm
        guard let info = file.info(name), SafeTensors.floats.contains(info.type) else {
            return nil
        }
        let values = try file.tensor(name).values.map(Double.init)
        guard !values.isEmpty else { return nil }
        let mean = values.reduce(0, +) / Double(values.count)
        return (values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(values.count))
            .squareRoot()
    }

    /// Side of the latents that the UNet was trained on: from the header, else the family's usual one.
    private func nativeSide() -> Int {
        if let vae, let text = file.metadata["modelspec.resolution"] {
            let sides = text.split(separator: "x").compactMap { Int($0) }
            let factor = 1 << min(8, vae.levels - 1)
            if sides.count == 2, let side = sides.max(), (64...4096).contains(side),
                side % factor == 0
            {
                return side / factor
            }
        }
        switch family {
        case .sd1: return 64
        // Stability's two models: 512 pixels with epsilon prediction, 768 pixels with v-prediction.
        case .sd2: return prediction.type == .epsilon ? 64 : 96
        case .sdxl, .sdxlRefiner: return 128
        }
    }

    // MARK: Weights

    private func part<T>(_ part: T?, _ component: Component) throws(InputError) -> T {
        guard let part else {
            throw InputError(path, "it has no \(component.rawValue)", fix: "Fetch the whole model")
        }
        return part
    }

    func weights(_ component: Component) throws(InputError) -> WeightTable {
        switch component {
        case .unet: try part(unet, component).weights(file)
        case .vae: try part(vae, component).weights(file)
        case .textEncoder, .textEncoder2: try part(texts[component], component).weights(file)
        }
    }

    func files(_ component: Component) throws(InputError) -> [String] { [path] }

    func addIdentity(of components: [Component], to hash: FileHash) throws(InputError) {
        for component in components {
            if let config = given("\(component.rawValue)/config.json") {
                try hash.add(file: config)
            }
        }
        try hash.add(file: path)
    }

    // MARK: Tokenizers

    func tokenizer(_ component: Component) throws -> CLIPTokenizer {
        let place = try tokenizerPlace(component)
        let isWhole = place.hasSuffix("/\(component.tokenizer)")
        let text = try part(texts[component], component)
        let tokenizer = try CLIPTokenizer(
            folder: place,
            // Transformers' CLIP pads with the end token, OpenCLIP with id 0.
            padding: isWhole ? nil : text.kind == .openCLIP ? "!" : "<|endoftext|>"
        )
        let known = try text.vocabulary()
        guard tokenizer.count <= known else {
            throw InputError(
                path,
                "its \(component.rawValue) knows \(known) tokens, \(place) has \(tokenizer.count)",
                fix: "Give the model's own tokenizer with --tokenizer"
            )
        }
        return tokenizer
    }

    /// A tokenizer's folder: the given one, else the one beside the file, else the one shipped with Tessera.
    func tokenizerPlace(_ component: Component) throws(InputError) -> String {
        if let folder = options.tokenizer {
            return try TokenizerFolder.given(folder, for: component)
        }
        var places: [String] = []
        if let config = options.config { places.append("\(config)/\(component.tokenizer)") }
        places.append(URL(fileURLWithPath: path).deletingLastPathComponent().path)
        if let vocabulary = options.vocabulary { places.append(vocabulary) }
        guard let place = places.first(where: TokenizerFolder.isThere) else {
            throw InputError(
                path,
                "it has no tokenizer, and there is no vocab.json and merges.txt beside it",
                fix: "Name a folder that holds both with --tokenizer"
            )
        }
        return place
    }
}
