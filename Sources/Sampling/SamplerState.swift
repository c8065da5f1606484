import Engine

/// Where a render stands between two steps: all that is needed to go on.
package struct SamplerState: Sendable {
    /// Index into the plan's phases.
    package var phase = 0
    /// Next step of that phase.
    package var step = 0
    /// The whole latent before that step, `[1, height, width, channels]`.
    package var latent: Tensor
    package var history = Scheduler.History()
    /// The upsampled latent and the noise that diffuses it: in phases after the first, and in the first where
    /// it begins with a picture.
    package var source: (upsampled: Tensor, noise: Tensor)?
    /// The finished phase 1, to whose mean and deviation later phases are brought back; or the picture that
    /// the render began with.
    package var anchor: Tensor?
    /// That picture, encoded for this phase, where the phase is held to it.
    package var picture: Tensor?

    /// The latent is still that of the phase before, whose picture is to be enlarged for this one; where the
    /// method is refinement.
    package var awaitsEnlargement = false

    package init(latent: Tensor) { self.latent = latent }
}
