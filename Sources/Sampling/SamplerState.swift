import Engine

/// The state of a render between two steps: everything needed to continue.
package struct SamplerState: Sendable {
    /// Index into the plan's phases.
    package var phase = 0
    /// The next step of that phase.
    package var step = 0
    /// The whole latent before that step, `[1, height, width, channels]`.
    package var latent: Tensor
    package var history = Scheduler.History()
    /// The upsampled latent and the noise that is added to it: in all phases but the first, and in the first one if the
    /// render has an init image.
    package var source: (upsampled: Tensor, noise: Tensor)?
    /// Later phases are normalised to this latent's mean and standard deviation: the result of phase 1, or the init
    /// image.
    package var anchor: Tensor?
    /// The init image, encoded for this phase; only if the phase is constrained to it or there is a mask.
    package var picture: Tensor?
    /// Mask of the part that changes, `[1, height, width, 1]`: 1 where it changes, 0 where it is kept.
    package var mask: Tensor?
    /// In a refinement stage, the window means of the enlarged latent.
    package var means: WindowMeans?

    /// Whether the latent is still the previous phase's, whose picture must be enlarged first.
    package var awaitsEnlargement = false

    package init(latent: Tensor) { self.latent = latent }
}
