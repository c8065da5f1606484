import Engine

/// Every setting of a render, each declared once.
///
/// To add one: a declaration here and its place in `all`, a property of `RenderSettings`, and a flag in `PictureFlags`.
/// Validation, help, JSON, the PNG's text and the record for resuming are derived from the declaration.
package enum Settings {
    /// In the order of the PNG's text.
    package static let all: [any AnySetting] = [
        steps, scheduler, karras, guidance, guidanceInterval, seed, size,
        random, timestepSpacing, finalSigma, sgmUniform, sigmas,
        clipSkip, promptSyntax,
        strength, fidelity, imageGuidance,
        method, stride, ladder, cosineScales, sigma, border, windowWeight, skipBelow,
        upscaleMode,
        refineFrom, refineSteps, refineNoise, refineGuidance,
        decodeMargin, wire, globalPass,
    ]

    /// Those that a model may suggest in a file beside its weights; all others do not depend on the model.
    package static let suggestible: [any AnySetting] = [
        steps, guidance, scheduler, karras, timestepSpacing, finalSigma, size, method,
        stride, windowWeight, ladder, decodeMargin,
    ]

    /// Those that apply only to a render with an init image.
    static let ofInitImage: [any AnySetting] = [strength, fidelity]

    // The picture.

    package static let size = Setting(
        "size",
        \.size,
        default: Extent(height: 1024, width: 1024),
        help: "Size of the picture",
        unit: "pixels",
        valueName: "WxH",
        defaultNote:
            "twice the model's native side, at least 1024; the size of --init-image, at least "
            + "the native side",
        limits: SettingLimits(fault: sizeFault),
        label: "Size"
    )

    package static let seed = Setting(
        "seed",
        \.seed,
        default: 0,
        help: "Random seed; -1 chooses one and prints it",
        valueName: "n|-1",
        label: "Seed"
    )

    // Sampling, at any size.

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
        help: "Guidance scale (CFG); at 1 or below there is no guidance",
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
        // As A1111 writes it where it is not the sampler's own.
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

    // The init image.

    package static let strength = Setting(
        "strength",
        \.strength,
        default: 1,
        help: "Denoising strength: the share of each phase's steps that are run; 0 changes nothing",
        valueName: "0…1",
        defaultNote: "1",
        limits: .range(0...1),
        recorded: .withPicture,
        label: "Denoising strength",
        onlyMethod: { _ in .demofusion }
    )

    package static let fidelity = Setting(
        "fidelity",
        \.fidelity,
        default: 0.5,
        help:
            "How much of the init image is kept: detail up to this share of its resolution; 0 keeps none",
        valueName: "0…1",
        defaultNote: "0.5",
        limits: .range(0...1),
        recorded: .withPicture,
        label: "Fidelity",
        onlyMethod: { _ in .demofusion }
    )

    package static let imageGuidance = Setting(
        "image-guidance",
        \.imageGuidance,
        default: 1.5,
        help:
            "How closely a model that edits pictures (InstructPix2Pix) keeps to the init image; --guidance says how "
            + "closely it follows the prompt",
        valueName: "scale",
        defaultNote: "1.5",
        limits: .range(1...100),
        recorded: .where { $0.isEdited || $0.imageGuidance != 1.5 },
        label: "Image CFG scale"
    )

    // Pictures larger than the model's own.

    package static let method = Setting(
        "method",
        \.method,
        default: .demofusion,
        help:
            "How the picture grows after phase 1: demofusion denoises every phase over the whole schedule; "
            + "refine enlarges the picture and denoises it over the end of the schedule, with a "
            + "fraction of the UNet calls",
        defaultNote: "demofusion",
        recorded: .whenChanged,
        label: "Method"
    )

    package static let refineFrom = Setting(
        "refine-from",
        \.refine.from,
        default: 0.25,
        help: "Share of the noise schedule that each stage of --method refine runs again",
        valueName: "share",
        defaultNote: "0.25",
        limits: .range(
            0.001...0.999,
            fix: "Choose a share of the schedule from 0.001 to 0.999, such as 0.25"
        ),
        recorded: .where { $0.method == .refine },
        label: "Refine from",
        onlyMethod: { _ in .refine }
    )

    package static let refineSteps = Setting(
        "refine-steps",
        \.refine.steps,
        default: 3,
        help: "Denoising steps of each stage of --method refine, after its inversion step",
        valueName: "n",
        defaultNote: "3; 1 for a distilled model",
        limits: .range(1...100),
        recorded: .where { $0.method == .refine },
        label: "Refine steps",
        onlyMethod: { _ in .refine }
    )

    package static let refineNoise = Setting(
        "refine-noise",
        \.refine.noise,
        default: 0.3,
        help:
            "Share of random noise in the noise that --method refine adds; more of it generates more detail",
        valueName: "share",
        defaultNote: "0.3",
        limits: .range(0...1),
        recorded: .where { $0.method == .refine },
        label: "Refine noise",
        onlyMethod: { _ in .refine }
    )

    package static let refineGuidance = Setting(
        "refine-guidance",
        \.refine.guidance,
        default: 1,
        help:
            "Guidance scale in the stages of --method refine; above 1 each step takes two UNet calls",
        valueName: "scale",
        defaultNote: "1",
        limits: .range(0...100),
        recorded: .where { $0.method == .refine },
        label: "Refine guidance",
        onlyMethod: { _ in .refine }
    )

    package static let stride = Setting(
        "stride",
        \.stride,
        default: nil,
        help:
            "Distance between windows in latent pixels, or 'window': windows side by side, shifted at "
            + "every step, which is faster",
        valueName: "n|window",
        defaultNote: "half a window; three quarters of one with --method refine",
        limits: SettingLimits(fault: strideFault),
        label: SettingLabel("DemoFusion stride", refined: "Refine stride"),
        onlyMethod: { $0 == .window ? .demofusion : nil }
    )

    package static let windowWeight = Setting(
        "window-weight",
        \.windowWeight,
        default: nil,
        help: "Weights of a window's pixels where windows overlap",
        defaultNote: "gaussian; uniform with --border zeros, as in the authors' code",
        // A picture without it has uniform ones.
        recorded: .where {
            $0.windowWeight == .gaussian || ($0.windowWeight != nil && $0.method == .refine)
        },
        unrecorded: .uniform,
        label: SettingLabel("DemoFusion window weight", refined: "Refine window weight")
    )

    package static let cosineScales = Setting(
        "cosine-scales",
        \.cosine.exponents,
        default: [3, 1, 1],
        help: "Exponents of the skip residual, the dilated path and the blur",
        valueName: "a,b,c",
        limits: SettingLimits(fault: exponentsFault),
        label: SettingLabel("DemoFusion cosine scales", refined: nil) {
            $0.cosine.exponents.joined(by: " ")
        },
        onlyMethod: { _ in .demofusion }
    )

    package static let sigma = Setting(
        "sigma",
        \.cosine.sigma,
        default: 0.8,
        help: "Standard deviation of the blur before dilated sampling",
        unit: "latent pixels",
        limits: .range(0.01...100),
        label: SettingLabel("DemoFusion sigma", refined: nil),
        onlyMethod: { _ in .demofusion }
    )

    package static let ladder = Setting(
        "ladder",
        \.ladder,
        default: .everyScale,
        help:
            "Scales of the phases, or 'auto': the fewest UNet calls with scales that at most double",
        valueName: "1,2,4|auto",
        defaultNote: "every whole scale up to the target",
        label: SettingLabel("DemoFusion ladder", refined: "Refine ladder") {
            $0.ladder.written.replacing(",", with: " ")
        }
    )

    package static let skipBelow = Setting(
        "skip-below",
        \.skipBelow,
        default: 0,
        help:
            "Skip the windows or the lattices of a timestep if their weight in the fused prediction is "
            + "smaller; changes the picture slightly",
        valueName: "share",
        // Above 0.5 both paths could be skipped at once.
        limits: .range(0...0.5, fix: "Choose a share from 0 to 0.5, such as 0.05"),
        recorded: .whenChanged,
        label: SettingLabel("DemoFusion skip below", refined: nil),
        onlyMethod: { _ in .demofusion }
    )

    package static let border = Setting(
        "border",
        \.border,
        default: .inside,
        help: "Padding mode: windows stay inside the latent, or reach into a margin of zeros",
        label: SettingLabel("DemoFusion border", refined: nil),
        onlyMethod: { _ in .demofusion }
    )

    package static let upscaleMode = Setting(
        "upscale-mode",
        \.upscaleMode,
        default: .latent,
        help:
            "What is enlarged between phases: the latent, or the image, which is decoded before and encoded after",
        recorded: .whenChanged,
        label: SettingLabel("DemoFusion upscale mode", refined: nil),
        onlyMethod: { _ in .demofusion }
    )

    // From the latent to the picture.

    package static let decodeMargin = Setting(
        "decode-margin",
        \.decodeMargin,
        default: 0,
        help:
            "Copies of the outermost latent pixels that the decoder sees beyond each edge; 1 hides the frame "
            + "that some models' VAEs draw",
        unit: "latent pixels",
        defaultNote: "0",
        limits: .range(0...16),
        recorded: .whenChanged,
        label: "Decode margin"
    )

    // Communication with workers.

    package static let wire = Setting(
        "wire",
        \.wire,
        default: .f32,
        help: "Precision of latents sent to and from workers; f16 changes the picture slightly",
        recorded: .whenChanged,
        label: "Wire"
    )

    package static let globalPass = Setting(
        "global-pass",
        \.globalPass,
        default: .coordinator,
        help:
            "Who renders phase 1: the coordinator, which then loads the UNet, or two workers, one for "
            + "each half of guidance. The picture is the same",
        valueName: "who",
        recorded: .never
    )

    /// Largest side of a picture that is accepted, in pixels.
    package static let maxSide = 65_536
}

extension LevelSpacing {
    /// As web interfaces call it.
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
    /// As web interfaces call it.
    fileprivate var label: String {
        switch self {
        case .torch: "CPU"
        case .philox: "NV"
        }
    }
}
