import Engine

/// How a render goes from its first phase to the target size; `--method`.
package enum Method: String, CaseIterable, Sendable {
    /// Denoises every phase over the whole schedule, with skip residual and dilated sampling (Du et al.,
    /// CVPR 2024, arXiv 2311.16973).
    case demofusion
    /// Enlarges the decoded picture and denoises it over the end of the schedule (after PixelRush, arXiv
    /// 2602.12769).
    case refine
}

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
        from: Double = Settings.refineFrom.standard,
        steps: Int = Settings.refineSteps.standard,
        noise: Double = Settings.refineNoise.standard,
        guidance: Float = Settings.refineGuidance.standard
    ) {
        (self.from, self.steps, self.noise, self.guidance) = (from, steps, noise, guidance)
    }
}
