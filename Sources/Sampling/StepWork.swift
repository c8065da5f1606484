import Engine

/// The work of one step: the views to predict, and what is needed to fuse their predictions.
package struct StepWork: Sendable {
    /// The latent after the skip residual.
    package let mixed: Tensor
    package let windows: [Window]
    /// Local windows first, then lattices; or, in phase 1, a single view of the whole latent.
    package let views: [WorkUnit]
}
