/// Names of samplers in other programs.
extension SchedulerKind {
    /// The name that web interfaces use.
    package var label: String {
        switch self {
        case .ddim: "DDIM"
        case .ddpm: "DDPM"
        case .pndm: "PLMS"
        case .euler: "Euler"
        case .eulerAncestral: "Euler a"
        case .heun: "Heun"
        case .dpm2: "DPM2"
        case .dpm2Ancestral: "DPM2 a"
        case .lms: "LMS"
        case .dpmSolver: "DPM++ 2M"
        case .dpmSolver3: "DPM++ 3M"
        case .dpmSolverSDE: "DPM++ 2M SDE"
        case .dpmSolver3SDE: "DPM++ 3M SDE"
        case .dpmSDE: "DPM++ SDE"
        case .dpmSolverOfFile: "DPM-Solver"
        case .uniPC: "UniPC"
        case .deis: "DEIS"
        case .lcm: "LCM"
        case .tcd: "TCD"
        }
    }

    /// Diffusers' scheduler classes.
    private static let classes: [String: SchedulerKind] = [
        "DDIMScheduler": .ddim, "DDPMScheduler": .ddpm, "PNDMScheduler": .pndm,
        "EulerDiscreteScheduler": .euler, "EulerAncestralDiscreteScheduler": .eulerAncestral,
        "HeunDiscreteScheduler": .heun, "KDPM2DiscreteScheduler": .dpm2,
        "KDPM2AncestralDiscreteScheduler": .dpm2Ancestral, "LMSDiscreteScheduler": .lms,
        "DPMSolverMultistepScheduler": .dpmSolver, "DPMSolverSDEScheduler": .dpmSDE,
        "UniPCMultistepScheduler": .uniPC, "DEISMultistepScheduler": .deis,
        "LCMScheduler": .lcm, "TCDScheduler": .tcd,
        "EDMEulerScheduler": .euler, "EDMDPMSolverMultistepScheduler": .dpmSolver,
    ]

    /// - Parameter name: name of a Diffusers class
    package init?(className name: String) {
        guard let kind = Self.classes[name] else { return nil }
        self = kind
    }
}

/// A sampler under any common name, and the spacing of its noise levels if the name includes it: `dpmpp_2m_sde_karras`,
/// "DPM++ 2M SDE Karras", `dpmpp_2m_sde_gpu`, `k_euler`, `UniPCMultistepScheduler`.
package struct SamplerName: Equatable, Sendable {
    package let kind: SchedulerKind
    package let levels: LevelSpacing?

    /// - Parameter name: in any of the styles above; case, spaces, `_` and `-` make no difference
    package init?(_ name: String) {
        var key = Self.key(name)
        var levels: LevelSpacing?
        for (ending, spacing) in Self.endings where key.hasSuffix(ending) && key != ending {
            key.removeLast(ending.count)
            levels = spacing
            break
        }
        // In ComfyUI, "gpu" means noise drawn on the GPU, which makes no difference here.
        if key.hasSuffix("gpu") { key.removeLast(3) }
        if key.hasPrefix("sample") { key.removeFirst(6) }
        guard let kind = Self.kinds[key] else { return nil }
        (self.kind, self.levels) = (kind, levels)
    }

    private static func key(_ name: String) -> String {
        String(name.lowercased().replacing("++", with: "pp").filter { $0.isLetter || $0.isNumber })
    }

    private static let endings: [(String, LevelSpacing?)] = [
        // k-diffusion's polyexponential spacing equals the exponential one at its default setting.
        ("karras", .karras), ("polyexponential", .exponential), ("exponential", .exponential),
        ("sgmuniform", .sgmUniform),
        ("beta", .beta), ("simple", .simple), ("aysxl", .alignYourStepsXL),
        ("ayssdxl", .alignYourStepsXL), ("ays", .alignYourSteps),
        ("alignyoursteps", .alignYourSteps), ("automatic", nil), ("normal", nil),
    ]

    private static let kinds: [String: SchedulerKind] = {
        var names: [String: SchedulerKind] = [
            "plms": .pndm, "eulerancestral": .eulerAncestral, "keuler": .euler,
            "keulera": .eulerAncestral, "kheun": .heun, "klms": .lms, "kdpm2": .dpm2,
            "kdpm2a": .dpm2Ancestral, "dpm2ancestral": .dpm2Ancestral, "kdpmpp2m": .dpmSolver,
            "unipcmultistep": .uniPC, "unipcbh2": .uniPC, "dpmsolver": .dpmSolverOfFile,
        ]
        for kind in SchedulerKind.allCases {
            names[key(kind.rawValue)] = kind
            names[key(kind.label)] = kind
        }
        for (name, kind) in SchedulerKind.classNames { names[key(name)] = kind }
        return names
    }()
}

extension SchedulerKind {
    fileprivate static var classNames: [String: SchedulerKind] { classes }
}
