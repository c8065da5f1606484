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

    /// The name shown to people.
    package var name: String {
        switch self {
        case .sd1: "Stable Diffusion 1"
        case .sd2: "Stable Diffusion 2"
        case .sdxl: "Stable Diffusion XL"
        }
    }

    /// The components of a model of this family.
    package var components: [Component] {
        self == .sdxl ? Component.allCases : [.unet, .vae, .textEncoder]
    }
}
