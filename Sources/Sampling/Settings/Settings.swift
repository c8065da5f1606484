import Engine

/// All settings of a render, each declared once.
///
/// To add a setting: a declaration here, its place in `all`, a property of `RenderSettings`, and a flag in
/// `PictureFlags`. Validation, help, JSON, the PNG's text chunk and the checkpoint record are derived from the
/// declaration.
package enum Settings {
    /// All settings, in the order of the PNG's text chunk.
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

    /// Settings that a model may suggest in a file next to its weights; all others do not depend on the model.
    package static let suggestible: [any AnySetting] = [
        steps, guidance, scheduler, karras, timestepSpacing, finalSigma, size, method,
        stride, windowWeight, ladder, decodeMargin,
    ]

    /// Settings that apply only to a render with an init image.
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

    /// Maximum side of a picture, in pixels.
    package static let maxSide = 65_536
}
