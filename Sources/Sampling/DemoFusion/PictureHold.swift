import Engine

/// Constrains a latent to a picture: content down to some resolution is taken from the picture, and
/// everything finer is left unchanged.
///
///     x ← x + A⁺A(s − x)
///
/// where s is the encoded picture, A downsamples to the resolution and A⁺ upsamples. It is applied to every
/// estimate of the clean latent, so that the constrained and the generated content are consistent (the
/// range–null-space decomposition of Wang et al., 2023, arXiv 2212.00490; Choi et al., 2021, arXiv
/// 2108.02938, do this to the noisy latent).
package struct PictureHold: Equatable, Sendable {
    /// The latent of the picture.
    package let latent: Extent
    /// Rows and columns of the resolution down to which the picture is kept.
    package let grid: Extent

    /// Nil where nothing is constrained.
    ///
    /// - Parameters:
    ///   - fidelity: fraction of the picture's own resolution, 0…1
    ///   - picture: rows and columns of the picture that are shown, in latent pixels of its own size
    ///   - latent: of the phase
    package init?(fidelity: Double, of picture: (height: Double, width: Double), latent: Extent) {
        guard fidelity > 0 else { return nil }
        func side(_ length: Double, _ limit: Int) -> Int {
            min(limit, max(1, Int((fidelity * length).rounded())))
        }
        self.latent = latent
        grid = Extent(
            height: side(picture.height, latent.height),
            width: side(picture.width, latent.width)
        )
    }

    /// Whether the whole latent is constrained, so that nothing is generated.
    package var isWhole: Bool { grid == latent }

    /// - Parameters:
    ///   - x: `[1, height, width, channels]`
    ///   - picture: encoded at that size
    /// - Returns: `x` with the picture's content down to the resolution, and its own content above it
    package func apply(to x: Tensor, _ picture: Tensor) -> Tensor {
        guard !isWhole else { return picture }
        let difference = (picture - x).resampled(height: grid.height, width: grid.width)
        return x + difference.resampled(height: latent.height, width: latent.width)
    }
}
