import Foundation

/// An opened model: a folder in the Diffusers layout or a single file in the original
/// layout, with adapters (LoRA and the like) merged into it. Opening reads headers and configurations; the networks read
/// the weights.
package struct Model: Sendable {
    package let path: String
    package let options: ModelOptions
    private let layout: any ModelLayout
    private let changes: [Component: [String: [AdapterChange]]]
    /// The adapters that are merged into it.
    package let adapters: [AdapterFile]
    private let refiners: [Model]
    /// The refiner, which replaces this model at the end of the schedule.
    package var refiner: Model? { refiners.first }

    /// Opens a model that can render, with nothing missing.
    ///
    /// - Throws: `InputError` naming what is missing, damaged or not supported
    package init(path: String, options: ModelOptions = ModelOptions()) throws(InputError) {
        try self.init(path: path, options: options, allowsGaps: false)
    }

    /// Opens a model; with `allowsGaps`, parts may be missing.
    init(path: String, options: ModelOptions, allowsGaps: Bool) throws(InputError) {
        self.path = path
        self.options = options
        let layout = try Self.layout(path, options)
        self.layout = layout
        // Workers need no tokenizer: a missing one is reported when it is requested.
        let tokenizers = [Component.textEncoder, .textEncoder2].map(\.tokenizer)
        if !allowsGaps, let gap = layout.missing.first(where: { !tokenizers.contains($0.name) }) {
            throw gap.error
        }
        if !allowsGaps, let refusal = Self.refusal(path, layout) { throw refusal }
        adapters = try options.loras.map { source throws(InputError) in try AdapterFile(source) }
        changes = try Self.changes(adapters, layout)
        // An array, because a value cannot hold another of its own type.
        refiners =
            try options.refiner.map { source throws(InputError) in
                [try Self.refiner(source, options, of: layout)]
            } ?? []
        try refuseOverflow()
    }

    /// Whether a file or folder is a model, complete or not, rather than an adapter, embedding or VAE. Reads headers only.
    package static func isModel(_ path: String) -> Bool {
        (try? Model(path: path, options: ModelOptions(), allowsGaps: true)) != nil
    }

    /// Why it cannot render on its own, although nothing is missing.
    var refusal: InputError? { Self.refusal(path, layout) }

    private static func refusal(_ path: String, _ layout: any ModelLayout) -> InputError? {
        guard layout.family == .sdxlRefiner else { return nil }
        return InputError(
            path,
            "it is the refiner of Stable Diffusion XL, which finishes what a base model starts",
            fix: "Give it with --refiner beside the base model"
        )
    }

    /// The layout of a file or folder, with the parts that the options add or replace.
    private static func layout(
        _ path: String,
        _ options: ModelOptions
    ) throws(InputError) -> any ModelLayout {
        let main = try own(path, options)
        guard options.vae != nil || options.base != nil else { return main }
        var base: (path: String, layout: any ModelLayout)?
        if let given = options.base {
            let layout = try own(
                given,
                ModelOptions(
                    tokenizer: options.tokenizer,
                    vocabulary: options.vocabulary
                )
            )
            base = (given, layout)
        }
        return try ComposedLayout(
            path: path,
            main,
            base: base,
            vae: try options.vae.map { path throws(InputError) in try VAESource(path: path) }
        )
    }

    /// The layout of a file or folder on its own.
    private static func own(
        _ path: String,
        _ options: ModelOptions
    ) throws(InputError) -> any ModelLayout {
        var isFolder: ObjCBool = false
        guard FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) else {
            throw InputError(
                path,
                "the model does not exist",
                fix: "Name a folder or a .safetensors file with --model"
            )
        }
        guard isFolder.boolValue else {
            let file = try SafeTensors(file: path)
            if let unet = try LoneUNet(file, options: options) { return unet }
            return try SingleFile(path: path, options: options)
        }
        try refuseForFolders(options)
        let isWhole = FileManager.default.fileExists(atPath: "\(path)/model_index.json")
        if !isWhole, let unet = try LoneUNet(folder: path, options: options) { return unet }
        return try ModelFolder(path: path, options: options)
    }

    /// Opens the refiner of a model.
    private static func refiner(
        _ source: RefinerSource,
        _ own: ModelOptions,
        of layout: any ModelLayout
    ) throws(InputError) -> Model {
        func refusal(_ problem: String, _ fix: String) -> InputError {
            InputError("--refiner \(source.path)", problem, fix: fix)
        }
        guard layout.family == .sdxl else {
            throw refusal(
                "the model is \(layout.family.name), and refiners are for Stable Diffusion XL",
                "Leave it out"
            )
        }
        let options = ModelOptions(tokenizer: own.tokenizer, vocabulary: own.vocabulary)
        let refiner = try Model(path: source.path, options: options, allowsGaps: true)
        guard refiner.family == .sdxlRefiner else {
            throw refusal(
                "it is \(refiner.family.name), not its refiner",
                "Name stable-diffusion-xl-refiner, as a folder or a file"
            )
        }
        // The base model's VAE is used.
        let needed = [Component.unet, .textEncoder2].map(\.rawValue)
        if let gap = refiner.missing.first(where: { needed.contains($0.name) }) { throw gap.error }
        return refiner
    }

    /// Rejects `--model-config` for a folder, which has its own configurations.
    private static func refuseForFolders(_ options: ModelOptions) throws(InputError) {
        guard let value = options.config else { return }
        throw InputError(
            "--model-config \(value)",
            "it is for models in a single file; this model is a folder with its own",
            fix: "Leave it out"
        )
    }

    /// The changes that adapters make, by component and weight.
    private static func changes(
        _ adapters: [AdapterFile],
        _ layout: any ModelLayout
    ) throws(InputError) -> [Component: [String: [AdapterChange]]] {
        var changes: [Component: [String: [AdapterChange]]] = [:]
        var tables: [Component: (table: WeightTable, original: Renaming?)] = [:]
        for adapter in adapters {
            try adapter.refuseFlaws()
            if !adapter.source.parts.isEmpty {
                let unet = try layout.weights(.unet).names
                try adapter.source.checkParts(layout.family, unet: unet)
            }
            for component in Set(adapter.modules.map(\.component)).sorted(by: {
                $0.rawValue < $1.rawValue
            }) {
                try Self.explaining(adapter, layout.family) { () throws(InputError) in
                    guard layout.family.components.contains(component) else {
                        throw InputError(
                            adapter.source.path,
                            "it changes a \(component.rawValue), which this model does not have",
                            fix: "Use a LoRA that was made for \(layout.family.name)"
                        )
                    }
                }
                // Workers have no text encoders; code that needs one reports that it is missing.
                let isText = component == .textEncoder || component == .textEncoder2
                if isText, (try? layout.files(component)) == nil { continue }
                if tables[component] == nil {
                    let table = try layout.weights(component)
                    var original: Renaming?
                    if component == .unet { original = try unetLayout(layout).names }
                    tables[component] = (table, original)
                }
                guard let (table, original) = tables[component] else { continue }
                let own = try Self.explaining(adapter, layout.family) { () throws(InputError) in
                    try adapter.changes(to: component, table, original: original)
                }
                changes[component, default: [:]].merge(own.mapValues { [$0] }) { $0 + $1 }
            }
        }
        return changes
    }

    /// Rejects adapters that make a weight overflow. Merges only those with values large enough to do so.
    private func refuseOverflow() throws(InputError) {
        for (component, changes) in changes.sorted(by: { $0.key.rawValue < $1.key.rawValue }) {
            let table = try layout.weights(component)
            for (name, list) in changes.sorted(by: { $0.key < $1.key }) {
                var isSafe = true
                for change in list where isSafe { isSafe = try change.isSafe() }
                guard !isSafe else { continue }
                var weight = try table.tensor(name)
                for change in list { try change.apply(to: &weight, named: name) }
            }
        }
    }

    /// Adds to a mismatch error the family that the adapter was made for, if it is not the model's.
    private static func explaining<T>(
        _ lora: AdapterFile,
        _ family: ModelFamily,
        _ body: () throws(InputError) -> T
    ) throws(InputError) -> T {
        do throws(InputError) {
            return try body()
        } catch {
            let made = lora.families
            guard !made.isEmpty, !made.contains(family) else { throw error }
            throw InputError(
                error.place,
                "it was made for \(made.names); this model is \(family.name) (\(error.problem))",
                fix: "Use one that was made for \(family.name)"
            )
        }
    }

    private static func unetLayout(_ layout: any ModelLayout) throws(InputError) -> UNetLayout {
        var reader = try layout.config(.unet)
        let sizes = UNetConfig.TextTime.count(of: layout.family)
        return UNetLayout(try UNetConfig.read(&reader, sizes: sizes))
    }

    package var family: ModelFamily { layout.family }
    /// The model's format, as shown to users.
    package var kind: String { layout.kind }
    /// Whether "no negative prompt" means zeros instead of the empty prompt's embedding.
    package var forceZerosForEmptyPrompt: Bool { layout.forceZerosForEmptyPrompt }
    /// The parts that it lacks.
    var missing: [MissingPart] { layout.missing }
    var ignored: [(name: String, count: Int)] { layout.ignored }

    /// The source of the prediction type.
    package var predictionSource: String {
        options.prediction == nil ? layout.predictionSource : "--prediction"
    }

    /// Whether nothing states the prediction type, and the most common one is assumed.
    package var predictionIsGuess: Bool { options.prediction == nil && layout.predictionIsGuess }

    /// How to sample a model that is distilled, or made so by a LoRA; nil for others.
    package var distillation: Distillation? {
        for source in options.loras {
            if let found = Distillation(ofLoRA: source.titles, source.path) { return found }
        }
        let tellsItsScheduler = layout.tellsItsScheduler
        guard (try? unetConfig())?.guidanceWidth == nil else {
            return Distillation(
                embeddingGuidance: layout.titles,
                path,
                tellsItsScheduler: tellsItsScheduler
            )
        }
        return Distillation(ofModel: layout.titles, path, tellsItsScheduler: tellsItsScheduler)
    }

    /// The UNet's configuration.
    ///
    /// Throws `InputError` for an unknown or unsupported option, as the other three do.
    package func unetConfig() throws -> UNetConfig {
        var reader = try layout.config(.unet)
        let config = try UNetConfig(&reader, sizes: UNetConfig.TextTime.count(of: family))
        try reader.finish()
        return config
    }

    /// Where a component's configuration comes from, for errors.
    func configPlace(_ component: Component) throws(InputError) -> String {
        try layout.config(component).place
    }

    /// The VAE's configuration.
    package func vaeConfig() throws -> VAEConfig {
        var reader = try layout.config(.vae)
        let config = try VAEConfig(&reader)
        try reader.finish()
        return config
    }

    /// A text encoder's configuration.
    package func textConfig(_ component: Component) throws -> CLIPConfig {
        var reader = try layout.config(component)
        let config = try CLIPConfig(&reader, projected: component == .textEncoder2)
        try reader.finish()
        return config
    }

    /// The scheduler's configuration.
    package func schedulerConfig() throws -> SchedulerConfig {
        var reader = try layout.schedulerConfig()
        var config = try SchedulerConfig(&reader)
        config.prediction = options.prediction ?? config.prediction
        config.family = family
        return config
    }

    /// Where the scheduler's configuration comes from, for errors.
    package func schedulerPlace() throws(InputError) -> String {
        try layout.schedulerConfig().place
    }

    /// The weights of a component, with adapters merged.
    ///
    /// - Throws: `InputError` if a file is missing or damaged
    package func weights(_ component: Component) throws(InputError) -> WeightReader {
        WeightReader(try layout.weights(component), changes: changes[component] ?? [:])
    }

    /// Where a component's weights are stored.
    package func table(_ component: Component) throws(InputError) -> WeightTable {
        try layout.weights(component)
    }

    /// The files that a component's weights are read from.
    package func files(_ component: Component) throws(InputError) -> [String] {
        try layout.files(component)
    }

    /// The tokenizer of a text encoder.
    ///
    /// Throws `InputError` when its files are missing or contradict each other.
    package func tokenizer(_ component: Component) throws -> CLIPTokenizer {
        if let gap = missing.first(where: { $0.name == component.tokenizer }) { throw gap.error }
        let tokenizer = try layout.tokenizer(component)
        // If the encoder's configuration does not follow from its weights, reading the encoder reports that.
        if let known = try? textConfig(component).vocabulary, tokenizer.count > known {
            let place =
                try options.tokenizer.map { "--tokenizer \($0)" } ?? tokenizerPlace(component)
            throw InputError(
                place,
                "it has \(tokenizer.count) tokens, the model's \(component.rawValue) knows \(known)",
                fix: "Use the tokenizer that belongs to this text encoder"
            )
        }
        return tokenizer
    }

    /// Where a text encoder's tokenizer is read from.
    package func tokenizerPlace(_ component: Component) throws(InputError) -> String {
        try layout.tokenizerPlace(component)
    }

    /// Identity of what workers compute with: BLAKE2b-256, in hexadecimal; docs/protocol.md defines
    /// its input. Reads all files of the UNet and the VAE.
    ///
    /// - Throws: `InputError` if a file is missing
    package func digest() throws(InputError) -> String {
        let hash = FileHash()
        try layout.addIdentity(of: [.unet, .vae], to: hash)
        if let refiner { try refiner.layout.addIdentity(of: [.unet], to: hash) }
        let digest = hash.finish()
        guard !options.loras.isEmpty else { return digest }
        let merged = FileHash()
        merged.add(text: digest)
        for lora in options.loras {
            try merged.add(file: lora.path)
            merged.add(text: lora.weights)
        }
        return merged.finish()
    }
}
