import Engine

/// The work of one step: views to predict, and what is needed to fuse their predictions.
package struct StepWork: Sendable {
    /// The latent after the skip residual.
    package let mixed: Tensor
    package let windows: [Window]
    /// Local windows first, then lattices, or the one whole view of phase 1.
    package let views: [WorkUnit]
}
