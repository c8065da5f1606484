/// A part of a model that has weights, by its folder's name in Diffusers layout.
package enum Component: String, CaseIterable, Sendable {
    case unet
    case vae
    case textEncoder = "text_encoder"
    case textEncoder2 = "text_encoder_2"

    /// The tokenizer that goes with a text encoder, by its folder's name.
    var tokenizer: String { self == .textEncoder2 ? "tokenizer_2" : "tokenizer" }
}

/// The architectures that are known.
package enum ModelFamily: String, Sendable {
    case sd1
    case sd2
    case sdxl

    /// What people call it.
    package var name: String {
        switch self {
        case .sd1: "Stable Diffusion 1"
        case .sd2: "Stable Diffusion 2"
        case .sdxl: "Stable Diffusion XL"
        }
    }

    /// The parts that a model of this family is made of.
    package var components: [Component] {
        self == .sdxl ? Component.allCases : [.unet, .vae, .textEncoder]
    }
}
