import Engine

/// Settings of `--method refine`.
package struct RefineSettings: Equatable, Sendable {
    /// Fraction of the training schedule to which every stage is noised back; 0.25 of 1000 timesteps is 249.
    package var from: Double
    /// Denoising steps per stage, after the one evaluation for the inversion.
    package var steps: Int
    /// Fraction of random noise that is mixed into the predicted noise by spherical interpolation, 0…1. More adds
    /// detail and lets the picture drift further from the previous one.
    package var noise: Double
    /// Guidance scale of the denoising steps.
    package var guidance: Float

    /// Default number of steps for a distilled model.
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
