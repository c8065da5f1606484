import Engine
import Sampling

/// The meaning of a sampler and a schedule type that are named as in A1111. Pure.
package struct WebSampler: Equatable, Sendable {
    package let kind: SchedulerKind
    /// Noise levels; nil for evenly spaced timesteps.
    package let levels: LevelSpacing?
    /// Whether timesteps are evenly spaced from the last to the first of the training schedule.
    package let isLinear: Bool
    /// How the schedule type is used.
    private let typeUse: TypeUse

    private enum TypeUse {
        case applied
        /// The sampler has only one layout in A1111, whatever the type.
        case ignored
        /// The type is unknown: the sampler's own is used.
        case unknown
    }

    /// Samplers for which A1111 ignores the schedule type.
    private static let ignoringType: Set<SchedulerKind> = [.ddim, .pndm, .uniPC]

    /// Samplers whose range of noise levels follows that of the timesteps, in Diffusers' terms.
    private static let ofTimesteps: Set<SchedulerKind> = [
        .euler, .eulerAncestral, .heun, .lms, .dpm2, .dpm2Ancestral, .dpmSDE,
    ]

    /// Samplers for which the type "Automatic" means other noise levels than the model's.
    private static let automatic: [SchedulerKind: LevelSpacing] = [
        .dpmSolver: .karras, .dpmSDE: .karras, .dpm2: .karras, .dpm2Ancestral: .karras,
        .dpmSolverSDE: .exponential, .dpmSolver3SDE: .exponential,
    ]

    /// Samplers whose timesteps k-diffusion spaces evenly from the last to the first.
    private static let linear: Set<SchedulerKind> = [
        .euler, .eulerAncestral, .heun, .lms, .dpm2, .dpm2Ancestral, .dpmSolver, .dpmSolver3,
        .dpmSolverSDE, .dpmSolver3SDE, .dpmSDE,
    ]

    /// Reads the names of a sampler and of a schedule type; nil for an unknown sampler.
    ///
    /// - Parameters:
    ///   - sampler: its name, which in older versions may end with the type
    ///   - type: the schedule type; nil for none
    package init?(_ sampler: String, type: String?) {
        guard let name = SamplerName(sampler) else { return nil }
        kind = name.kind
        var levels = name.levels
        var (isLinear, typeUse) = (false, TypeUse.applied)
        switch type {
        case nil: isLinear = levels == nil
        case let type? where Self.ignoringType.contains(name.kind):
            // A1111 records the chosen type, but lays out these samplers' timesteps in its own way.
            levels = nil
            if !["Automatic", "Uniform", "Normal"].contains(type) { typeUse = .ignored }
        case "Automatic"?:
            levels = Self.automatic[name.kind]
            isLinear = levels == nil
        case "Uniform"?, "Normal"?: isLinear = true
        case let type?:
            levels = SamplerName("\(sampler) \(type)")?.levels
            if levels == nil { typeUse = .unknown }
        }
        self.levels = levels
        self.isLinear = isLinear && levels == nil && Self.hasLinear(name.kind)
        self.typeUse = typeUse
    }

    /// How the result differs from the chosen schedule type, as text that follows its name; nil if it does not.
    package func note(onType type: String) -> String? {
        switch typeUse {
        case .applied where levels == .alignYourSteps:
            "is laid out as by its authors, which differs slightly from A1111"
        case .applied: nil
        case .ignored:
            "changes nothing with \(kind.label) in A1111: the sampler's own is used"
        case .unknown: "is not supported: the sampler's own is used"
        }
    }

    /// Whether k-diffusion's noise levels go from the highest to the lowest of the training schedule, whatever the
    /// model's file says about timesteps.
    package static func isLinear(_ kind: SchedulerKind, _ levels: LevelSpacing) -> Bool {
        ofTimesteps.contains(kind) && [.karras, .exponential, .beta].contains(levels)
    }

    /// Whether k-diffusion spaces a sampler's timesteps evenly from the last to the first.
    package static func hasLinear(_ kind: SchedulerKind) -> Bool { linear.contains(kind) }

    /// The resulting settings, by name.
    package var settings: [String: JSON] {
        var settings = [Settings.scheduler.name: kind.json]
        if levels == .karras {
            settings[Settings.karras.name] = .bool(true)
        } else if let levels {
            settings[Settings.sigmas.name] = levels.json
        }
        if isLinear || levels.map({ Self.isLinear(kind, $0) }) == true {
            settings[Settings.timestepSpacing.name] = TimestepSpacing.linspace.json
        }
        return settings
    }
}
