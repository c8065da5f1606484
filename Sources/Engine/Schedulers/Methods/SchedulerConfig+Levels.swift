import Foundation

extension SchedulerConfig {
    /// The noise level after the last step.
    func finalLevel(_ schedule: NoiseSchedule) -> Double {
        finalSigma == .zero ? 0 : Double(schedule.sigmas[0])
    }

    /// Timesteps and noise levels of a run, laid out by `plain` or by SGM's uniform schedule. For the latter,
    /// levels between integer timesteps are interpolated as log σ, as in k-diffusion. A run over the end of the
    /// schedule does not call `plain`.
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

    /// Linear interpolation of the schedule between integer timesteps.
    private static func interpolate(_ values: [Float], at t: Double) -> Double {
        let i = min(max(Int(t), 0), values.count - 1)
        guard i + 1 < values.count else { return Double(values[values.count - 1]) }
        let (a, b) = (Double(values[i]), Double(values[i + 1]))
        return a + (b - a) * (t - Double(i))
    }

    /// The spacing of levels that a run uses; nil over the end of the schedule, or with SGM's timesteps.
    func respacing(_ span: ScheduleSpan) -> LevelSpacing? {
        isSGMUniform || span.share != nil ? nil : levelSpacing
    }

    /// Timesteps and levels σ/α for samplers that otherwise use integer timesteps, if a spacing
    /// of levels is chosen; else nil.
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

    /// The run of a variance-preserving sampler over the chosen levels, down to a clean latent;
    /// nil if no levels are chosen.
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

    /// Integer timesteps and levels σ/α for the variance-preserving multistep samplers, followed by `end`,
    /// the level after the last step.
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
                // Like Diffusers, which truncates the other spacings' timesteps.
                return t.rounded(spacing == .karras ? .toNearestOrEven : .down)
            }
        }
        return (timesteps, (levels + [end]).map { Float($0) })
    }
}
