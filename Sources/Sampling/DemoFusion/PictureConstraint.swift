import Engine

/// Constrains a latent to a picture: content up to some resolution is taken from the picture, and finer detail is left
/// unchanged.
///
///     x ← x + A⁺A(s − x)
///
/// where s is the encoded picture, A downsamples to that resolution and A⁺ upsamples. It is applied to every estimate
/// of the clean latent, so that the constrained and the generated content are consistent (the range–null-space
/// decomposition of Wang et al., 2023, arXiv 2212.00490; Choi et al., 2021, arXiv 2108.02938, apply it to the noisy
/// latent).
package struct PictureConstraint: Equatable, Sendable {
    /// Size of the phase's latent.
    package let latent: Extent
    /// The resolution up to which the picture is kept, in rows and columns.
    package let grid: Extent

    /// Nil if nothing is constrained.
    ///
    /// - Parameters:
    ///   - fidelity: fraction of the picture's own resolution, 0…1
    ///   - picture: size of the visible part of the picture at its own resolution, in latent pixels
    ///   - latent: size of the phase's latent
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
    ///   - picture: the encoded picture at that size
    /// - Returns: `x` with the picture's content up to the resolution, and its own finer detail
    package func apply(to x: Tensor, _ picture: Tensor) -> Tensor {
        guard !isWhole else { return picture }
        let difference = (picture - x).resampled(height: grid.height, width: grid.width)
        return x + difference.resampled(height: latent.height, width: latent.width)
    }
}
