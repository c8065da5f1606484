import Engine

/// Sampling settings, for pictures of any size.
extension Settings {
    package static let steps = Setting(
        "steps",
        \.steps,
        default: 50,
        help: "Sampling steps of each phase",
        defaultNote: "50; for a distilled model the number in its name",
        limits: .range(1...1000),
        label: "Steps"
    )

    package static let guidance = Setting(
        "guidance",
        \.guidance,
        default: 7.5,
        help: "Guidance scale (CFG); 1 or less turns guidance off",
        defaultNote: "7.5; 1 for a distilled model",
        limits: .range(0...100),
        label: "CFG scale"
    )

    package static let guidanceInterval = Setting(
        "guidance-interval",
        \.guidanceInterval,
        default: nil,
        help:
            "Interval of noise levels in which guidance is applied, such as 0.28,5.42; outside it each view "
            + "takes one UNet call instead of two",
        valueName: "lo,hi",
        defaultNote: "all",
        limits: SettingLimits(fault: intervalFault),
        recorded: .whenChanged,
        label: SettingLabel("Guidance interval")
    )

    package static let scheduler = Setting(
        "scheduler",
        \.scheduler,
        default: .ddim,
        help:
            "Sampler; names of A1111, ComfyUI and Diffusers are understood, and a spacing at the end, "
            + "as in dpmpp_2m_sde_karras",
        defaultNote: "that of its scheduler's file",
        label: SettingLabel("Sampler") { $0.scheduler.label + ($0.karras ? " Karras" : "") }
    )

    package static let karras = Setting(
        "karras",
        \.karras,
        default: false,
        help:
            "Use the noise levels of Karras et al. (2022), or with --no-karras the scheduler's own",
        defaultNote: "--no-karras"
    )

    package static let timestepSpacing = Setting(
        "timestep-spacing",
        \.schedule.spacing,
        default: nil,
        help: "How timesteps are spaced over the training schedule",
        defaultNote: "that of its scheduler's file",
        recorded: .whenChanged,
        label: "Timestep spacing"
    )

    package static let finalSigma = Setting(
        "final-sigma",
        \.schedule.finalSigma,
        default: nil,
        help: "Noise level after the last step: zero, or the lowest one of the training schedule",
        defaultNote: "that of its scheduler's file",
        recorded: .whenChanged,
        label: "Final sigma"
    )

    package static let sgmUniform = Setting(
        "sgm-uniform",
        \.schedule.isSGMUniform,
        default: false,
        help:
            "Space timesteps evenly down from the last one of the training schedule, without rounding "
            + "them: 'SGM uniform' in other tools, for Turbo and Lightning models",
        recorded: .whenChanged,
        // A1111 writes it like this if it is not the sampler's own schedule.
        label: SettingLabel("Schedule type") { _ in "SGM Uniform" }
    )

    package static let sigmas = Setting(
        "sigmas",
        \.schedule.levels,
        default: nil,
        help: "Where the scheduler's noise levels lie, if not at evenly spaced timesteps",
        defaultNote: "the model's own",
        recorded: .whenChanged,
        label: SettingLabel("Schedule type") { $0.schedule.levels?.label ?? "" }
    )

    package static let clipSkip = Setting(
        "clip-skip",
        \.clipSkip,
        default: Int?.none,
        help:
            "Last layer of the text encoders that is read, counted from the end: 1 is the last, 2 the one "
            + "before it",
        valueName: "n",
        defaultNote: "1; 2 for Stable Diffusion XL",
        limits: SettingLimits(fault: clipSkipFault),
        recorded: .whenChanged,
        label: "Clip skip"
    )

    package static let promptSyntax = Setting(
        "prompt-syntax",
        \.promptSyntax,
        default: .plain,
        help:
            "How prompts are read: as they are, or in A1111's language of weights (a:1.2), [a], schedules "
            + "[from:to:when], [a|b], and <lora:name:0.8>",
        recorded: .whenChanged,
        label: "Prompt syntax"
    )

    package static let random = Setting(
        "rng",
        \.random,
        default: .torch,
        help: "Random number generator: PyTorch's on a CPU (torch) or on CUDA (philox)",
        label: SettingLabel("RNG") { $0.random.label }
    )
}

extension LevelSpacing {
    /// The name that web interfaces use.
    fileprivate var label: String {
        switch self {
        case .karras: "Karras"
        case .exponential: "Exponential"
        case .beta: "Beta"
        case .sgmUniform: "SGM Uniform"
        case .simple: "Simple"
        case .alignYourSteps, .alignYourStepsXL: "Align Your Steps"
        }
    }
}

extension RandomKind {
    /// The name that web interfaces use.
    fileprivate var label: String {
        switch self {
        case .torch: "CPU"
        case .philox: "NV"
        }
    }
}
