import Engine
import Protocol
import Sampling

extension RenderSession {
    /// Times a few views of the render.
    ///
    /// - Parameters:
    ///   - renderer: the workers
    ///   - prompts: encoded
    ///   - globalPass: renders phase 1; nil where workers do
    ///   - statistics: what each worker has done so far
    /// - Returns: how fast it would go
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
