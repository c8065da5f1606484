import Foundation

extension SchedulerConfig {
    /// The noise level after the last step.
    func finalLevel(_ schedule: NoiseSchedule) -> Double {
        finalSigma == .zero ? 0 : Double(schedule.sigmas[0])
    }

    /// Timesteps and noise levels of a run: as `plain` lays them out, or as SGM's uniform schedule does,
    /// whose levels between whole timesteps are those of k-diffusion: interpolated as log σ. A run over the
    /// end of the schedule does not ask `plain`.
    func laidOut(
        _ schedule: NoiseSchedule,
        _ span: ScheduleSpan,
        plain: () -> [Double]
    ) -> (timesteps: [Double], levels: [Double]) {
        let trained = schedule.sigmas
        if span.share == nil, let levels = levelSpacing?.fixed(self, schedule, steps: span.steps) {
            let logs = trained.map { Float(log(Double($0))) }
            return (levels.map { LevelSpacing.timestep(of: $0, in: logs) }, levels)
        }
        guard isSGMUniform else {
            let timesteps = Timesteps.ending(self, span) ?? plain()
            return (timesteps, timesteps.map { Self.interpolate(trained, at: $0) })
        }
        let first = Double(trainTimesteps - 1) * (span.share ?? 1)
        let timesteps = Array(Timesteps.linspace(first, 0, span.steps + 1).dropLast())
        let logs = trained.map { Float(log(Double($0))) }
        return (timesteps, timesteps.map { exp(Self.interpolate(logs, at: $0)) })
    }

    /// The schedule between integer timesteps.
    private static func interpolate(_ values: [Float], at t: Double) -> Double {
        let i = min(max(Int(t), 0), values.count - 1)
        guard i + 1 < values.count else { return Double(values[values.count - 1]) }
        let (a, b) = (Double(values[i]), Double(values[i + 1]))
        return a + (b - a) * (t - Double(i))
    }

    /// The spacing by levels that a run uses: none over the end of the schedule, or where timesteps are SGM's.
    func respacing(_ span: ScheduleSpan) -> LevelSpacing? {
        isSGMUniform || span.share != nil ? nil : levelSpacing
    }

    /// Timesteps and levels σ/α of samplers that otherwise have whole timesteps, where a spacing of levels is chosen; nil
    /// where it is not.
    func chosenLevels(
        _ schedule: NoiseSchedule,
        _ span: ScheduleSpan
    ) -> (timesteps: [Double], levels: [Double])? {
        let spacing = respacing(span)
        guard isSGMUniform || spacing != nil else { return nil }
        let trained = schedule.sigmas
        let (largest, smallest) = (Double(trained[trained.count - 1]), Double(trained[0]))
        guard let given = spacing?.levels(from: largest, to: smallest, steps: span.steps) else {
            return laidOut(schedule, span) { [] }
        }
        let logs = trained.map { Float(log(Double($0))) }
        return (given.map { LevelSpacing.timestep(of: $0, in: logs) }, given)
    }

    /// The run of a sampler in variance-preserving form over chosen levels, down to a clean latent; nil where none are
    /// chosen.
    func chosenRun(
        _ schedule: NoiseSchedule,
        _ span: ScheduleSpan,
        update: (_ level: NoiseLevel, _ now: PreservingLevel, _ next: PreservingLevel?) -> Update
    ) -> Scheduler.Run? {
        guard let (timesteps, levels) = chosenLevels(schedule, span) else { return nil }
        let steps = levels.map { PreservingLevel(ratio: $0) }
        return Scheduler.Run(
            timesteps: timesteps,
            steps: steps.indices.map { i in
                let level = steps[i].noiseLevel(prediction)
                let next = i + 1 < steps.count ? steps[i + 1] : nil
                return Scheduler.Step(level: level, update: update(level, steps[i], next))
            }
        )
    }

    /// Whole timesteps and levels σ/α of the multistep samplers in variance-preserving form, with `end`, the level after
    /// the last step.
    func multistepLevels(
        _ schedule: NoiseSchedule,
        _ span: ScheduleSpan,
        end: Double
    ) -> (timesteps: [Double], sigmas: [Float]) {
        let (trained, count) = (schedule.sigmas, span.steps)
        var (timesteps, levels) = laidOut(schedule, span) {
            Timesteps.multistep(self, spacing: spacing ?? .linspace, steps: count)
        }
        let (largest, smallest) = (Double(trained[trained.count - 1]), Double(trained[0]))
        if let spacing = respacing(span),
            let given = spacing.levels(from: largest, to: smallest, steps: count)
        {
            levels = given
            let logs = trained.map { Float(log(Double($0))) }
            timesteps = levels.map { level in
                let t = LevelSpacing.timestep(of: level, in: logs)
                // As Diffusers, which cuts off the others' fractions.
                return t.rounded(spacing == .karras ? .toNearestOrEven : .down)
            }
        }
        return (timesteps, (levels + [end]).map { Float($0) })
    }
}
