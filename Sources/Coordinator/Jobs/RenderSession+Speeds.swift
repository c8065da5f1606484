import Engine
import Protocol
import Sampling

extension RenderSession {
    /// A view of the size that the model was trained on, as in phase 1. In a cluster test every worker gets the same
    /// one.
    ///
    /// - Parameter computation: options for the text encoders
    /// - Returns: the view, with its embeddings
    /// - Throws: `InputError` from the text encoders' files
    package func trialView(_ computation: Rendering.Computation) throws -> WorkUnit {
        let sampler = Sampler(
            plan: plan,
            scheduler: scheduler,
            prompts: try encodedPrompts(computation.conditioning)
        )
        var noise = SeededNoise(seed: plan.settings.seed, kind: plan.settings.random)
        let (latent, channels) = (plan.phases[0].phase.latent, plan.model.pictureChannels)
        let picture =
            channels == 0 ? nil : Tensor(zeros: [1, latent.height, latent.width, channels])
        let first = try sampler.start(noise)
        return try sampler.work(for: first, picture: picture, noise: &noise).views[0]
    }

    /// Times a few views of the render.
    ///
    /// - Parameters:
    ///   - renderer: the workers
    ///   - prompts: the encoded prompts
    ///   - globalPass: renders phase 1; nil if workers do
    ///   - statistics: each worker's statistics so far
    /// - Returns: the measured speeds
    /// - Throws: what the renderer throws
    package func speeds(
        on renderer: any UnitRenderer,
        prompts: Prompts,
        globalPass: LocalRenderer?,
        statistics: @escaping () -> [WorkerStatistics]
    ) throws -> MeasuredSpeeds {
        try SpeedTrial(
            sampler: Sampler(plan: plan, scheduler: scheduler, prompts: prompts),
            renderer: renderer,
            globalPass: globalPass,
            statistics: statistics
        ).run(noise: SeededNoise(seed: plan.settings.seed, kind: plan.settings.random))
    }
}
