import Foundation

/// A UNet without the rest of a model: a file in the original or in Diffusers' layout, or a folder with its config.json.
/// `--base` names a model that provides the rest.
struct LoneUNet: ModelLayout {
    let path: String
    let family: ModelFamily
    let missing: [MissingPart]
    let titles: [String]
    let statedPrediction: StatedPrediction?
    private let form: Form
    private let options: ModelOptions

    private enum Form: Sendable {
        /// A file in the original layout.
        case original(OriginalUNet, SafeTensors)
        /// One file in Diffusers' layout.
        case diffusers(WeightTable)
        /// A folder in Diffusers' layout.
        case folder
    }

    let forceZerosForEmptyPrompt = false
    let predictionIsGuess = true
    let tellsItsScheduler = false
    let ignored: [(name: String, count: Int)] = []
    var predictionSource: String { statedPrediction?.source ?? "nothing" }
    var kind: String {
        switch form {
        case .original: "UNet alone, in the original layout"
        case .diffusers, .folder: "UNet alone, in Diffusers layout"
        }
    }

    /// Opens a file; reads its header.
    ///
    /// - Returns: nil for a file that is something else
    /// - Throws: `InputError` for a UNet that is not supported
    init?(_ file: SafeTensors, options: ModelOptions) throws(InputError) {
        let unet: Form
        if let prefix = Self.prefix(in: file) {
            try OriginalKinds.refuseForeign(file)
            let tensors = OriginalShapes(file, prefix: prefix)
            unet = .original(try OriginalUNet(tensors), file)
        } else if file.info("conv_in.weight") != nil,
            file.info("time_embedding.linear_1.weight") != nil,
            file.info("conv_norm_out.weight") != nil
        {
            try OriginalKinds.refuseForeign(file)
            unet = .diffusers(WeightTable(file))
        } else {
            return nil
        }
        let url = URL(fileURLWithPath: file.path)
        var titles = [url.deletingPathExtension().lastPathComponent]
        // This name says nothing, but the folder's name may.
        if titles[0].hasPrefix("diffusion_pytorch_model") {
            titles.append(url.deletingLastPathComponent().lastPathComponent)
        }
        titles += ["modelspec.title", "ss_output_name"].compactMap { file.metadata[$0] }
        let stated = try SingleFile.prediction(file, .sd1, ModelOptions())
        self.init(
            path: file.path,
            form: unet,
            titles: titles,
            stated: stated.isGuess
                ? nil
                : StatedPrediction(
                    type: stated.type,
                    source: stated.source,
                    hasZeroSNR: file.info("ztsnr") != nil
                ),
            options: options
        )
    }

    /// Opens a folder in Diffusers' layout that holds a UNet only.
    ///
    /// - Returns: nil for a folder that is something else
    init?(folder path: String, options: ModelOptions) throws(InputError) {
        guard Self.describesUNet("\(path)/config.json") else { return nil }
        self.init(
            path: path,
            form: .folder,
            titles: [URL(fileURLWithPath: path).standardizedFileURL.lastPathComponent],
            stated: nil,
            options: options
        )
    }

    private init(
        path: String,
        form: Form,
        titles: [String],
        stated: StatedPrediction?,
        options: ModelOptions
    ) {
        (self.path, self.form, self.titles) = (path, form, titles)
        (statedPrediction, self.options) = (stated, options)
        switch form {
        case .original(let unet, _): family = unet.family
        case .diffusers(let table): family = Self.family(of: table)
        case .folder:
            let table = try? ComponentFiles(folder: path).table()
            family = table.map(Self.family) ?? .sd1
        }
        let encoders = family.textEncoders
        missing =
            ([Component.vae.rawValue] + encoders.map(\.rawValue) + ["scheduler"]
            + (options.tokenizer == nil ? encoders.map(\.tokenizer) : [])).map { name in
                MissingPart(
                    name: name,
                    error: InputError(
                        path,
                        "it is a UNet alone, without a \(name)",
                        fix: "Name a model that has the other parts with --base"
                    )
                )
            }
    }

    /// The prefix of a lone UNet's tensor names in the original layout; whole models use another one.
    private static func prefix(in file: SafeTensors) -> String? {
        ["", "diffusion_model.", "unet."].first { file.info("\($0)input_blocks.0.0.weight") != nil }
    }

    private static func describesUNet(_ config: String) -> Bool {
        guard FileManager.default.fileExists(atPath: config),
            let json = try? JSON(InputFile.bytes(config), place: config)
        else { return false }
        return json.object?["_class_name"]?.string == "UNet2DConditionModel"
    }

    private static func family(of table: WeightTable) -> ModelFamily {
        if table.shape("add_embedding.linear_1.weight") != nil { return .sdxl }
        let projection = table.names.first { $0.hasSuffix("attentions.0.proj_in.weight") }
        return projection.flatMap(table.shape)?.count == 2 ? .sd2 : .sd1
    }

    /// The UNet's configuration file: from --model-config, or beside the weights.
    private var configFile: String? {
        let file: String
        switch form {
        case .folder: file = "\(path)/config.json"
        case .original, .diffusers:
            file = URL(fileURLWithPath: path).deletingLastPathComponent().path + "/config.json"
        }
        let given = options.config.map { "\($0)/unet/config.json" }
        return ([given].compactMap(\.self) + [file]).first(where: Self.describesUNet)
    }

    func config(_ component: Component) throws(InputError) -> ConfigReader {
        guard component == .unet else { throw missing[0].error }
        return try unetConfig(like: nil)
    }

    func latentScaling() throws(InputError) -> [String: JSON] { throw missing[0].error }

    func unetConfig(like base: ConfigReader?) throws(InputError) -> ConfigReader {
        if let configFile { return try ConfigReader(file: configFile) }
        switch form {
        case .original(let unet, _):
            if var base {
                let (place, fields) = (base.place, base.json)
                let own = try UNetConfig.read(&base, sizes: UNetConfig.TextTime.count(of: family))
                if unet.fits(own) { return try ConfigReader(.object(fields), place: place) }
            }
            return try ConfigReader(
                try unet.config(nativeSide: family == .sdxl ? 128 : 64, pooledWidth: nil),
                place: "\(path) (its unet)"
            )
        case .diffusers(let table):
            guard let base else { fallthrough }
            var fields = base.json
            let projection = table.shape("time_embedding.cond_proj.weight")
            fields["time_cond_proj_dim"] = (projection?.last).map { .number(Double($0)) } ?? .null
            // An inpainting UNet with a plain base model, or the other way round.
            if let inputs = table.shape("conv_in.weight"), inputs.count == 4 {
                fields["in_channels"] = .number(Double(inputs[1]))
            }
            return try ConfigReader(.object(fields), place: base.place)
        case .folder:
            throw InputError(
                path,
                "its folder has no config.json of a UNet2DConditionModel",
                fix: "Fetch that, too, or name a model of the same kind with --base"
            )
        }
    }

    func schedulerConfig() throws(InputError) -> ConfigReader { throw missing[0].error }

    func weights(_ component: Component) throws(InputError) -> WeightTable {
        switch form {
        case .original(let unet, let file): unet.weights(file)
        case .diffusers(let table): table
        case .folder: try ComponentFiles(folder: path).table()
        }
    }

    func files(_ component: Component) throws(InputError) -> [String] {
        guard case .folder = form else { return [path] }
        return try ComponentFiles(folder: path).weights
    }

    func tokenizer(_ component: Component) throws -> CLIPTokenizer { throw missing[0].error }

    func tokenizerPlace(_ component: Component) throws(InputError) -> String {
        throw missing[0].error
    }

    func addIdentity(of components: [Component], to hash: FileHash) throws(InputError) {
        if let configFile { try hash.add(file: configFile) }
        for file in try files(.unet) { try hash.add(file: file) }
    }
}
