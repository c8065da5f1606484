import Engine
import Protocol
import Sampling

extension RenderSession {
    /// Times a few views of the render.
    ///
    /// - Parameters:
    ///   - renderer: the workers
    ///   - prompts: encoded
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
