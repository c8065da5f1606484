import Engine
import Sampling

/// What a sampler and a schedule type mean that are named as in A1111. Pure.
package struct WebSampler: Equatable, Sendable {
    package let kind: SchedulerKind
    /// Nil for evenly spaced timesteps.
    package let levels: LevelSpacing?
    /// Whether the timesteps go evenly from the last to the first of the training schedule.
    package let isLinear: Bool
    /// Whether the schedule type is known; if not, the sampler's own is used.
    package let isTypeKnown: Bool

    /// Samplers that the type "Automatic" gives other noise levels than the model's.
    private static let automatic: [SchedulerKind: LevelSpacing] = [
        .dpmSolver: .karras, .dpmSDE: .karras, .dpm2: .karras, .dpm2Ancestral: .karras,
        .dpmSolverSDE: .exponential, .dpmSolver3SDE: .exponential,
    ]

    /// Samplers that k-diffusion gives evenly spaced timesteps from the last to the first.
    private static let linear: Set<SchedulerKind> = [
        .euler, .eulerAncestral, .heun, .lms, .dpm2, .dpm2Ancestral, .dpmSolver, .dpmSolver3,
        .dpmSolverSDE, .dpmSolver3SDE, .dpmSDE,
    ]

    /// Nil for an unknown sampler.
    ///
    /// - Parameters:
    ///   - sampler: its name, perhaps with the type behind it, as older versions have it
    ///   - type: the schedule type; nil for none
    package init?(_ sampler: String, type: String?) {
        guard let name = SamplerName(sampler) else { return nil }
        kind = name.kind
        var levels = name.levels
        var (isLinear, isTypeKnown) = (false, true)
        switch type {
        case nil: isLinear = levels == nil
        case "Automatic"?:
            levels = Self.automatic[name.kind]
            isLinear = levels == nil
        case "Uniform"?, "Normal"?: isLinear = true
        case let type?:
            levels = SamplerName("\(sampler) \(type)")?.levels
            isTypeKnown = levels != nil
        }
        self.levels = levels
        self.isLinear = isLinear && levels == nil && Self.hasLinear(name.kind)
        self.isTypeKnown = isTypeKnown
    }

    /// Whether k-diffusion gives a sampler evenly spaced timesteps from the last to the first.
    package static func hasLinear(_ kind: SchedulerKind) -> Bool { linear.contains(kind) }

    /// The settings that it means, by their names.
    package var settings: [String: JSON] {
        var settings = [Settings.scheduler.name: kind.json]
        if levels == .karras {
            settings[Settings.karras.name] = .bool(true)
        } else if let levels {
            settings[Settings.sigmas.name] = levels.json
        } else if isLinear {
            settings[Settings.timestepSpacing.name] = TimestepSpacing.linspace.json
        }
        return settings
    }
}
