import Foundation

/// A folder that is one part of a model in Diffusers' layout.
enum ModelPart: Equatable {
    case vae
    /// A text encoder, with a projection if it is the second one of Stable Diffusion XL.
    case textEncoder(isProjected: Bool)
    case scheduler
    case tokenizer

    static let schedulerFile = "scheduler_config.json"

    /// Nil for a whole model, a UNet, or anything else.
    init?(folder path: String) {
        func has(_ name: String) -> Bool { FileKind("\(path)/\(name)") == .regular }
        guard !has("model_index.json") else { return nil }
        let config = "\(path)/config.json"
        let fields =
            has("config.json")
            ? try? JSON(InputFile.bytes(config), place: config).object : nil
        let classes = (fields?["architectures"]?.array ?? []).compactMap(\.string)
        if VAESource.describesVAE(path) {
            self = .vae
        } else if let name = classes.first(where: { $0.hasPrefix("CLIPTextModel") }) {
            self = .textEncoder(isProjected: name != "CLIPTextModel")
        } else if has(Self.schedulerFile) {
            self = .scheduler
        } else if has("tokenizer.json") || (has("vocab.json") && has("merges.txt")) {
            self = .tokenizer
        } else {
            return nil
        }
    }

    /// Its kind, as shown to users.
    var kind: String {
        switch self {
        case .vae: "autoencoder alone, folder in Diffusers layout"
        case .textEncoder: "text encoder alone, folder in Diffusers layout"
        case .scheduler: "scheduler of a model, folder in Diffusers layout"
        case .tokenizer: "tokenizer, folder in Diffusers layout"
        }
    }

    /// What it can be used for; nil if its description already says so.
    var use: String? {
        switch self {
        case .vae: nil
        case .tokenizer: "give it with --tokenizer beside a model"
        case .textEncoder, .scheduler: "one part of a model: name the folder above it"
        }
    }
}
