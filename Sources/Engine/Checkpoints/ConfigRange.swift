/// Limits on the sizes in a configuration: wide enough for every published model, and narrow enough that
/// no product of them overflows and none requests more memory than any machine has.
enum ConfigRange {
    /// Widths of feature maps, prompt embeddings and text encoders.
    static let channels = 1...65_536
    static let latentChannels = 1...64
    /// Side of the latents that a network was trained on.
    static let latentSide = 1...1024
    /// Maximum number of resolutions of a UNet or a VAE.
    static let levels = 8
    /// Residual blocks per resolution.
    static let layers = 1...16
    /// Transformer blocks in a row, and layers of a text encoder.
    static let depth = 1...128
    static let heads = 1...1024
    static let vocabulary = 3...1_048_576
    /// Tokens in one prompt: at least a start, a token and an end.
    static let tokens = 3...4096
    /// The epsilon of a normalisation.
    static let epsilon = 1e-12...0.1
}
