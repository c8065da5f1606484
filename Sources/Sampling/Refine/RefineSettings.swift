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
    /// Share of the training schedule that every stage goes back; 0.25 of 1000 timesteps is 249.
    package var from: Double
    /// Denoising steps of a stage, after one evaluation that inverts it.
    package var steps: Int
    /// Share of random noise that is mixed into the predicted noise on the sphere, 0…1: more of it
    /// adds detail, and lets the picture drift from the one before.
    package var noise: Double
    /// Guidance scale of these steps.
    package var guidance: Float

    /// Steps for a model that was distilled to few.
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
