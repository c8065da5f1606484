import Engine

/// The steps of one refinement stage: from the enlarged latent back to a timestep of the schedule in one evaluation,
/// and from there to a clean latent again.
///
/// Step 0 predicts the noise ε of the enlarged latent z, mixes it with random noise η on the sphere, and noises z with
/// the mixture. This is DDIM inversion in one step, with some randomness.
///
///     ε′ = slerp(ε, η, share)        x = α_K · z + σ_K · ε′
///
/// The remaining steps are those of the render's sampler over the end of the training schedule.
package struct RefineStage: Sendable {
    /// The steps after the inversion.
    package let schedule: Scheduler
    /// Guidance scale of each step in `schedule`.
    private let guidance: [Float]
    private let share: Double

    /// - Parameters:
    ///   - settings: validated settings
    ///   - scheduler: the render's sampler
    ///   - guidance: the guidance scale at a noise level, from the scale of the settings
    /// - Throws: `InputError` if the end of the schedule has fewer timesteps than steps
    package init(
        _ settings: RefineSettings,
        scheduler: Scheduler,
        guidance: (_ scale: Float, _ noiseLevel: Double) -> Float = { scale, _ in scale }
    ) throws(InputError) {
        let schedule = try scheduler.ending(share: settings.from, steps: settings.steps)
        self.guidance = schedule.timesteps.indices.map {
            guidance(settings.guidance, schedule.noiseLevel(at: $0))
        }
        (self.schedule, share) = (schedule, settings.noise)
    }

    /// Number of steps in a stage, including the inversion.
    package var count: Int { 1 + schedule.timesteps.count }

    /// The model's timestep input at a step.
    package func timestep(at step: Int) -> Float {
        step == 0 ? schedule.cleanestTimestep : schedule.timesteps[step - 1]
    }

    /// The timestep of the training schedule with the noise level of a step.
    func position(at step: Int) -> Float { step == 0 ? 0 : schedule.positions[step - 1] }

    /// The factor that scales the latent for the model.
    package func inputScale(at step: Int) -> Float {
        step == 0 ? schedule.cleanestInputScale : schedule.inputScale(at: step - 1)
    }

    /// Guidance scale at a step; the inversion is not guided.
    package func guidance(at step: Int) -> Float { step == 0 ? 1 : guidance[step - 1] }

    /// Whether the inversion needs random noise.
    package var drawsNoise: Bool { share > 0 }

    /// Noises the enlarged latent to the timestep at which denoising begins.
    ///
    /// - Parameters:
    ///   - clean: the latent, `[1, height, width, channels]`
    ///   - output: the model's prediction for it
    ///   - noise: unit noise of that shape, if `drawsNoise`
    /// - Returns: the noised latent
    package func inverted(_ clean: Tensor, output: Tensor, noise: Tensor?) -> Tensor {
        let predicted = schedule.noise(output, in: clean)
        let mixed = noise.map { Sphere.mix(predicted, $0, share: share) } ?? predicted
        return schedule.addNoise(clean, mixed, at: 0)
    }
}
