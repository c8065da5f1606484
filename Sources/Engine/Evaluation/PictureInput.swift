/// What a network takes beside the latent, in further channels of its input.
package enum PictureInput: String, Equatable, Sendable {
    /// Nothing.
    case none
    /// A mask, 1 where something is painted, and the encoded picture without that part (Stable Diffusion's inpainting
    /// models; Rombach et al., 2022).
    case inpainting
    /// The encoded picture that is edited, without the latents' scaling factor (InstructPix2Pix; Brooks et al., 2023,
    /// arXiv 2211.09800).
    case editing

    /// Nil for an input of another kind.
    ///
    /// - Parameters:
    ///   - inputs: channels of the network's input
    ///   - latent: channels of a latent
    package init?(inputs: Int, latent: Int) {
        switch inputs {
        case latent: self = .none
        case 2 * latent: self = .editing
        case 2 * latent + 1: self = .inpainting
        default: return nil
        }
    }

    /// What such a model does.
    package var text: String {
        switch self {
        case .none: "makes pictures from text"
        case .inpainting: "paints a masked part of a picture"
        case .editing: "edits a picture by instructions"
        }
    }

    /// How many channels it has, beside a latent of so many.
    package func channels(latent: Int) -> Int {
        switch self {
        case .none: 0
        case .inpainting: latent + 1
        case .editing: latent
        }
    }
}
