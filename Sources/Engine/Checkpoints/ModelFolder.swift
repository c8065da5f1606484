import Foundation

/// A model in the Diffusers layout: `model_index.json` and one folder per component.
struct ModelFolder: ModelLayout {
    let path: String
    let family: ModelFamily
    let forceZerosForEmptyPrompt: Bool
    let missing: [MissingPart]
    let ignored: [(name: String, count: Int)] = []
    /// A tokenizer given instead of the folder's own.
    private let tokenizer: String?

    var kind: String { "folder in Diffusers layout" }
    var predictionSource: String { "\(path)/scheduler/scheduler_config.json" }
    let predictionIsGuess = false
    let titles: [String]
    let tellsItsScheduler = true

    /// Whether a folder contains models or adapters as single files.
    private static func holdsFiles(_ path: String) -> Bool {
        let names = try? FileManager.default.contentsOfDirectory(atPath: path)
        return names?.contains { $0.hasSuffix(".safetensors") } == true
    }

    /// Reads `model_index.json`; no weights.
    ///
    /// - Throws: `InputError` naming what is not supported
    init(path: String, options: ModelOptions) throws(InputError) {
        self.path = path
        tokenizer = options.tokenizer
        let index = "\(path)/model_index.json"
        guard FileManager.default.fileExists(atPath: index) else {
            let isComponent = FileManager.default.fileExists(atPath: "\(path)/config.json")
            throw InputError(
                path,
                "there is no model_index.json in it",
                fix: isComponent
                    ? "This is one part of a model: name the folder above it; a UNet alone needs --base"
                    : Self.holdsFiles(path)
                        ? "Name one of the .safetensors files in it, or a model in Diffusers layout"
                        : "It must be a model in Diffusers layout"
            )
        }
        var config = try ConfigReader(file: index)
        let kind = try config.string("_class_name", default: "")
        switch kind {
        case "StableDiffusionXLPipeline", "StableDiffusionXLInpaintPipeline": family = .sdxl
        case "StableDiffusionXLInstructPix2PixPipeline":
            family = .sdxl
            guard try !config.bool("is_cosxl_edit", default: false) else {
                throw config.fault(
                    "is_cosxl_edit",
                    "CosXL's levels of noise are not supported",
                    fix: "Use an InstructPix2Pix of plain Stable Diffusion"
                )
            }
        case "StableDiffusionXLImg2ImgPipeline":
            let isRefiner = try config.bool("requires_aesthetics_score", default: false)
            family = isRefiner ? .sdxlRefiner : .sdxl
        case "StableDiffusionPipeline", "LatentConsistencyModelPipeline",
            "StableDiffusionImg2ImgPipeline", "StableDiffusionInpaintPipeline",
            "StableDiffusionInstructPix2PixPipeline":
            // SD 2 differs from SD 1 in its projections, which the UNet's config.json states.
            let place = "\(path)/unet/config.json"
            let unet = try JSON(try InputFile.bytes(place), place: place)
            family = unet.object?["use_linear_projection"]?.bool == true ? .sd2 : .sd1
        default:
            throw config.fault(
                "_class_name",
                "'\(kind)' is not supported",
                fix: "Use a StableDiffusionPipeline or StableDiffusionXLPipeline"
            )
        }
        titles =
            [URL(fileURLWithPath: path).lastPathComponent]
            + [try config.optionalString("_name_or_path")].compactMap {
                $0?.split(separator: "/").last.map(String.init)
            }
        forceZerosForEmptyPrompt = try config.bool(
            "force_zeros_for_empty_prompt",
            default: family == .sdxl
        )
        let tokenizers = options.tokenizer == nil ? family.textEncoders.map(\.tokenizer) : []
        missing = (family.components.map(\.rawValue) + ["scheduler"] + tokenizers)
            .filter { !FileManager.default.fileExists(atPath: "\(path)/\($0)") }
            .map { name in
                MissingPart(
                    name: name,
                    error: InputError(
                        "\(path)/\(name)",
                        "this part of the model is missing",
                        fix: name == Component.vae.rawValue
                            ? "Fetch it, or give one with --vae" : "Fetch it"
                    )
                )
            }
    }

    func config(_ component: Component) throws(InputError) -> ConfigReader {
        try ConfigReader(file: "\(path)/\(component.rawValue)/config.json")
    }

    func schedulerConfig() throws(InputError) -> ConfigReader {
        try ConfigReader(file: "\(path)/scheduler/scheduler_config.json")
    }

    func weights(_ component: Component) throws(InputError) -> WeightTable {
        try ComponentFiles(folder: "\(path)/\(component.rawValue)").table()
    }

    func files(_ component: Component) throws(InputError) -> [String] {
        try ComponentFiles(folder: "\(path)/\(component.rawValue)").weights
    }

    func tokenizer(_ component: Component) throws -> CLIPTokenizer {
        let place = try tokenizerPlace(component)
        // One vocabulary for all encoders does not say how each pads short prompts.
        let isOwn = tokenizer == nil || place.hasSuffix("/\(component.tokenizer)")
        let isOpenCLIP = family == .sd2 || component == .textEncoder2
        return try CLIPTokenizer(
            folder: place,
            padding: isOwn ? nil : isOpenCLIP ? "!" : "<|endoftext|>"
        )
    }

    func tokenizerPlace(_ component: Component) throws(InputError) -> String {
        try tokenizer.map { given throws(InputError) in
            try TokenizerFolder.given(given, for: component)
        } ?? "\(path)/\(component.tokenizer)"
    }

    func addIdentity(of components: [Component], to hash: FileHash) throws(InputError) {
        for component in components {
            try hash.add(file: "\(path)/\(component.rawValue)/config.json")
            for file in try files(component) { try hash.add(file: file) }
        }
    }
}
