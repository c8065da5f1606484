/// A part of a model that has weights, named as its folder in the Diffusers layout.
package enum Component: String, CaseIterable, Sendable {
    case unet
    case vae
    case textEncoder = "text_encoder"
    case textEncoder2 = "text_encoder_2"

    /// The tokenizer that goes with a text encoder, by its folder's name.
    var tokenizer: String { self == .textEncoder2 ? "tokenizer_2" : "tokenizer" }
}

/// The supported architectures.
package enum ModelFamily: String, Sendable {
    case sd1
    case sd2
    case sdxl
    case sdxlRefiner = "sdxl-refiner"

    /// The name shown to users.
    package var name: String {
        switch self {
        case .sd1: "Stable Diffusion 1"
        case .sd2: "Stable Diffusion 2"
        case .sdxl: "Stable Diffusion XL"
        case .sdxlRefiner: "refiner of Stable Diffusion XL"
        }
    }

    /// The components of a model of this family.
    package var components: [Component] {
        [.unet, .vae] + textEncoders
    }

    /// Its text encoders.
    package var textEncoders: [Component] {
        switch self {
        case .sd1, .sd2: [.textEncoder]
        case .sdxl: [.textEncoder, .textEncoder2]
        case .sdxlRefiner: [.textEncoder2]
        }
    }

    /// Whether its UNet takes image sizes and a pooled prompt embedding as inputs.
    var isXL: Bool { self == .sdxl || self == .sdxlRefiner }
}
