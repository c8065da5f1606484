/// What is enlarged between two phases of DemoFusion; `--upscale-mode`.
package enum UpscaleMode: String, CaseIterable, Sendable {
    /// The latent, by bicubic interpolation, as in the paper.
    case latent
    /// The picture: decoded, enlarged with a Lanczos filter and encoded again. A latent pixel also encodes structure
    /// within it, such as the steepness of an edge, and that changes when a picture is enlarged.
    case image
}
