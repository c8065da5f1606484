import Engine

/// Settings of `--method refine`.
package struct RefineSettings: Equatable, Sendable {
    /// Fraction of the training schedule that every stage is noised back to; 0.25 of 1000 timesteps is 249.
    package var from: Double
    /// Denoising steps of a stage, after one evaluation that inverts it.
    package var steps: Int
    /// Fraction of random noise mixed into the predicted noise by spherical interpolation, 0…1: more adds detail and
    /// lets the picture drift from the previous one.
    package var noise: Double
    /// Guidance scale of these steps.
    package var guidance: Float

    /// Default steps for a distilled model.
    package static let distilledSteps = 1

    package init(
        from: Double = Settings.refineFrom.defaultValue,
        steps: Int = Settings.refineSteps.defaultValue,
        noise: Double = Settings.refineNoise.defaultValue,
        guidance: Float = Settings.refineGuidance.defaultValue
    ) {
        (self.from, self.steps, self.noise, self.guidance) = (from, steps, noise, guidance)
    }
}
