import Engine

/// The state of a render between two steps: everything needed to continue it.
package struct SamplerState: Sendable {
    /// Index into the plan's phases.
    package var phase = 0
    /// Next step of that phase.
    package var step = 0
    /// The whole latent before that step, `[1, height, width, channels]`.
    package var latent: Tensor
    package var history = Scheduler.History()
    /// The upsampled latent and the noise that diffuses it: in phases after the first, and in the first if
    /// the render has an init image.
    package var source: (upsampled: Tensor, noise: Tensor)?
    /// The latent whose mean and standard deviation later phases are normalised to: the finished phase 1, or the
    /// init image.
    package var anchor: Tensor?
    /// The init image, encoded for this phase, if the phase is constrained to it, or if there is a mask.
    package var picture: Tensor?
    /// Which part of it changes, `[1, height, width, 1]`: 1 there, 0 where it stays.
    package var mask: Tensor?
    /// Of the enlarged latent, in a stage of refinement.
    package var means: WindowMeans?

    /// Whether the latent is still that of the previous phase, whose picture must be enlarged first.
    package var awaitsEnlargement = false

    package init(latent: Tensor) { self.latent = latent }
}
