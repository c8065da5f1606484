import Engine

/// Settings of pictures larger than the model's native size.
extension Settings {
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
        // Pictures without a recorded weight have uniform ones.
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
}
