/// What a network takes in addition to the latent, in further input channels.
package enum PictureInput: String, Equatable, Sendable {
    /// Nothing.
    case none
    /// A mask, 1 where the picture is to be painted, and the encoded picture without that part (Stable Diffusion's
    /// inpainting models; Rombach et al., 2022).
    case inpainting
    /// The encoded picture to be edited, without the latents' scaling factor (InstructPix2Pix; Brooks et
    /// al., 2023, arXiv 2211.09800).
    case editing

    /// Nil if no kind has this number of channels.
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

    /// What a model of this kind does.
    package var text: String {
        switch self {
        case .none: "makes pictures from text"
        case .inpainting: "paints a masked part of a picture"
        case .editing: "edits a picture by instructions"
        }
    }

    /// Number of additional channels, given the channels of a latent.
    package func channels(latent: Int) -> Int {
        switch self {
        case .none: 0
        case .inpainting: latent + 1
        case .editing: latent
        }
    }
}
