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
