import Engine

/// Who renders phase 1. The raw values are the choices of `--global-pass`; the picture is the same either way.
package enum GlobalPass: String, CaseIterable, Sendable {
    /// The coordinator itself, which loads the UNet for it.
    case coordinator
    /// The cluster, with each half of guidance on a different worker.
    case workers
}

/// Everything that determines a picture besides the model, the prompt and the init image. Each is declared in
/// `Settings`.
package struct RenderSettings: Equatable, Sendable {
    package var size: Extent
    package var steps: Int = Settings.steps.defaultValue
    package var guidance: Float = Settings.guidance.defaultValue
    /// Only noise levels σ/α above the first value and up to the second one are guided (Kynkäänniemi et al., 2024,
    /// arXiv 2404.07724); nil guides all.
    package var guidanceInterval: [Double]? = Settings.guidanceInterval.defaultValue
    package var seed: UInt64 = Settings.seed.defaultValue
    package var random: RandomKind = Settings.random.defaultValue
    package var scheduler: SchedulerKind
    package var karras: Bool = Settings.karras.defaultValue
    /// Last text-encoder layer that is used, counted from the end; nil for the model's own choice.
    package var clipSkip: Int? = Settings.clipSkip.defaultValue
    /// How the prompts are parsed.
    package var promptSyntax: PromptSyntax = Settings.promptSyntax.defaultValue
    /// Spacing of the timesteps, if the model does not determine it.
    package var schedule = ScheduleChoice()
    /// Layout of local windows. If nil, they are half a window apart, or three quarters of one in refinement.
    package var stride: WindowStride? = Settings.stride.defaultValue
    /// Weights of a window's pixels in the fusion; if nil, see `fusionWeight`.
    package var windowWeight: WindowWeight? = Settings.windowWeight.defaultValue
    package var method: Method = Settings.method.defaultValue
    /// Used only if `method` is `refine`.
    package var refine = RefineSettings()
    package var cosine = CosineSchedule()
    package var ladder: LadderChoice = Settings.ladder.defaultValue
    /// Windows or sub-lattices are skipped at timesteps where their weight in the fused prediction is smaller than
    /// this, and the other path gets a weight of 1. With 0, only paths of weight 0 are skipped.
    package var skipBelow: Double = Settings.skipBelow.defaultValue
    package var border: Border = Settings.border.defaultValue
    package var upscaleMode: UpscaleMode = Settings.upscaleMode.defaultValue
    /// Fraction of the noise schedule that is run in every phase of a render with an init image.
    package var strength: Double = Settings.strength.defaultValue
    /// Fraction of the init image's own resolution up to which the result is constrained to it.
    package var fidelity: Double = Settings.fidelity.defaultValue
    /// The visible part of the init image; nil to start from noise.
    package var frame: PictureFrame?
    /// Whether only a masked part of the init image changes.
    package var isMasked = false
    /// Whether the model edits the init image: the image is an additional input, and the latent starts from noise.
    package var isEdited = false
    /// Image guidance scale of an editing model.
    package var imageGuidance: Float = Settings.imageGuidance.defaultValue
    /// Latent pixels beyond each edge that are decoded, too, as copies of the outermost ones, and then cropped.
    package var decodeMargin: Int = Settings.decodeMargin.defaultValue
    /// Precision of latents on the wire; it affects the picture, too.
    package var wire: WireFormat = Settings.wire.defaultValue
    /// Who renders phase 1; does not affect the picture.
    package var globalPass: GlobalPass = Settings.globalPass.defaultValue

    /// Creates settings with default values.
    ///
    /// - Parameters:
    ///   - size: size of the picture in pixels
    ///   - steps: sampling steps per phase
    ///   - scheduler: the sampler
    ///   - change: sets what differs from the defaults
    package init(
        size: Extent,
        steps: Int = Settings.steps.defaultValue,
        scheduler: SchedulerKind,
        _ change: (inout Self) -> Void = { _ in }
    ) {
        (self.size, self.steps, self.scheduler) = (size, steps, scheduler)
        change(&self)
    }

    /// How the render starts from the init image; nil if it starts from noise.
    package var picture: PictureStart? {
        get {
            guard !isEdited else { return nil }
            return frame.map { PictureStart(strength: strength, fidelity: fidelity, frame: $0) }
        }
        set {
            frame = newValue?.frame
            strength = newValue?.strength ?? Settings.strength.defaultValue
            fidelity = newValue?.fidelity ?? Settings.fidelity.defaultValue
        }
    }

    /// Settings of refinement; nil if another method is used.
    package var refinement: RefineSettings? {
        get { method == .refine ? refine : nil }
        set {
            method = newValue == nil ? .demofusion : .refine
            refine = newValue ?? RefineSettings()
        }
    }

    /// Whether there is guidance. At or below 1 the negative prompt has no weight and is not evaluated.
    package var guides: Bool { guidance > 1 }

    /// The guidance scale at a noise level; 1 outside the interval.
    ///
    /// - Parameters:
    ///   - scale: the guidance scale inside the interval
    ///   - level: noise level, σ/α
    /// - Returns: the scale
    package func guidance(_ scale: Float, atNoiseLevel level: Double) -> Float {
        guard scale > 1, let interval = guidanceInterval else { return scale }
        return level > interval[0] && level <= interval[1] ? scale : 1
    }

    /// The layout of local windows.
    package func stride(for model: ModelGeometry) -> WindowStride {
        stride
            ?? (refinement == nil
                ? Self.defaultStride(for: model)
                : .every(max(1, 3 * model.nativeLatentSide / 4)))
    }

    /// Weights of a window's pixels in the fusion. Gaussian weights leave no seams. The authors' code, which
    /// `Border.zeros` follows, uses uniform ones, and windows side by side do not overlap.
    package var fusionWeight: WindowWeight {
        windowWeight ?? (border == .zeros || stride == .window ? .uniform : .gaussian)
    }

    /// The default stride: half a window.
    static func defaultStride(for model: ModelGeometry) -> WindowStride {
        .every(max(1, model.nativeLatentSide / 2))
    }

    /// The settings that are recorded in the PNG's text chunk, by name.
    package var json: [String: JSON] {
        var fields: [String: JSON] = [:]
        for setting in Settings.all where setting.isRecorded(of: self) {
            fields[setting.name] = setting.json(of: self)
        }
        return fields
    }

    /// Rejects settings that cannot render a picture.
    ///
    /// - Parameters:
    ///   - model: the model that the limits depend on
    ///   - given: explicit choices, which count even if they equal the default
    /// - Throws: `InputError` naming the flag
    package func validate(
        for model: ModelGeometry,
        given: SettingChoices = SettingChoices()
    ) throws(InputError) {
        for setting in Settings.all { try setting.check(self, for: model) }
        try picture?.validate(steps: steps)
        try validateMask()
        try validateEditing(model, given)
        if let refinement, refinement.guidance > 1, !guides {
            throw InputError(
                "--refine-guidance",
                "\(refinement.guidance) needs the negative prompt, which is not used with --guidance \(guidance)",
                fix: "Choose at most 1, or a --guidance above 1"
            )
        }
        if let unused = unusedSetting(given: given) { throw refusal(of: unused) }
        guard stride != .window || fusionWeight == .uniform else {
            throw InputError(
                "--window-weight",
                "windows side by side do not overlap, so weights have no effect",
                fix: "Leave it out, or give --stride a number"
            )
        }
    }

    /// Rejects settings that leave a mask without effect.
    private func validateMask() throws(InputError) {
        guard isMasked else { return }
        guard strength > 0 else {
            throw InputError(
                "--strength",
                "0 changes nothing, and the mask says what to change",
                fix: "Choose more, such as 1"
            )
        }
        guard fidelity == 0 else {
            throw InputError(
                "--fidelity",
                "it keeps what the mask changes; outside the mask everything is kept",
                fix: "Leave it out"
            )
        }
    }

    /// Rejects an editing model without an init image, and settings that such models do not use.
    private func validateEditing(
        _ model: ModelGeometry,
        _ given: SettingChoices
    ) throws(InputError) {
        guard model.pictureInput == .editing else {
            guard given.has(Settings.imageGuidance) else { return }
            throw InputError(
                "--image-guidance",
                "only models that edit pictures use it, and this one does not",
                fix: "Leave it out; --strength says how much of an init image may change"
            )
        }
        guard frame != nil else {
            throw InputError(
                "--init-image",
                "the model edits a picture, and none is given",
                fix: "Name one with --init-image"
            )
        }
        guard !isMasked else {
            throw InputError(
                "--mask and --extend",
                "the model edits the whole picture",
                fix: "Leave them out, or use an inpainting model"
            )
        }
        for setting in Settings.ofInitImage where given.has(setting) {
            throw InputError(
                "--\(setting.name)",
                "the model edits the init image and starts from noise, so it has no effect",
                fix: "Leave it out; --image-guidance says how closely it keeps to the picture"
            )
        }
    }

    /// A setting that was chosen explicitly or differs from its default, although the method does not use it.
    ///
    /// - Parameter given: explicit choices, which count whatever their value
    /// - Returns: the first such setting, if any
    package func unusedSetting(given: SettingChoices) -> (any AnySetting)? {
        Settings.all.first { setting in
            guard let only = setting.onlyMethod(in: self), only != method else { return false }
            // Without an init image neither method uses these; with a mask phase 1 uses them whatever the method.
            let isIdle =
                (picture == nil || isMasked)
                && Settings.ofInitImage.contains { $0.name == setting.name }
            return !isIdle && (given.has(setting) || setting.isChanged(in: self))
        }
    }

    /// The error for a setting that the method does not use.
    private func refusal(of setting: any AnySetting) -> InputError {
        let other: Method = method == .refine ? .demofusion : .refine
        let fix: String
        switch setting.name {
        case Settings.strength.name, Settings.fidelity.name:
            fix = "Leave it out; --refine-from and --refine-noise say how much may change"
        case Settings.stride.name: fix = "Give it a number, or choose --method \(other.rawValue)"
        default: fix = "Leave it out, or choose --method \(other.rawValue)"
        }
        let value = setting.name == Settings.stride.name ? " window" : ""
        return InputError(
            "--\(setting.name)\(value)",
            "--method \(method.rawValue) does not use it",
            fix: fix
        )
    }
}
