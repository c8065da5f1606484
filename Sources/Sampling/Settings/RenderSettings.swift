import Engine

/// Who renders phase 1. The raw values are those of `--global-pass`; the picture is the same.
package enum GlobalPass: String, CaseIterable, Sendable {
    /// The coordinator itself, which loads the UNet for it.
    case coordinator
    /// The cluster, each half of guidance on another worker.
    case workers
}

/// Everything that determines a picture besides the model, the prompt and the init image. Each is declared in
/// `Settings`.
package struct RenderSettings: Equatable, Sendable {
    package var size: Extent
    package var steps: Int = Settings.steps.standard
    package var guidance: Float = Settings.guidance.standard
    /// Noise levels σ/α above the first and up to the second are guided, others are not (Kynkäänniemi et al.,
    /// 2024, arXiv 2404.07724); nil guides all.
    package var guidanceInterval: [Double]? = Settings.guidanceInterval.standard
    package var seed: UInt64 = Settings.seed.standard
    package var random: RandomKind = Settings.random.standard
    package var scheduler: SchedulerKind
    package var karras: Bool = Settings.karras.standard
    /// Last layer of the text encoders that is read, counted from the end; nil for the model's own.
    package var clipSkip: Int? = Settings.clipSkip.standard
    /// How the prompts are read.
    package var promptSyntax: PromptSyntax = Settings.promptSyntax.standard
    /// How its timesteps are laid out, where the model does not decide it.
    package var schedule = ScheduleChoice()
    /// Layout of local windows. If nil they are half a window apart, and in refinement three quarters of one.
    package var stride: WindowStride? = Settings.stride.standard
    /// Weights of a window's pixels in the fusion; if nil, `fusionWeight` decides.
    package var windowWeight: WindowWeight? = Settings.windowWeight.standard
    package var method: Method = Settings.method.standard
    /// Used only if `method` is refinement.
    package var refine = RefineSettings()
    package var cosine = CosineSchedule()
    package var ladder: LadderChoice = Settings.ladder.standard
    /// At each timestep, windows or sub-lattices whose weight in the fused prediction is smaller are not evaluated, and
    /// the other path gets a weight of 1. 0 skips only paths of weight 0.
    package var skipBelow: Double = Settings.skipBelow.standard
    package var border: Border = Settings.border.standard
    /// Share of the noise schedule that is run in every phase of a render with an init image.
    package var strength: Double = Settings.strength.standard
    /// Share of that picture's own resolution up to which the result is constrained to it.
    package var fidelity: Double = Settings.fidelity.standard
    /// The part of the init image that is shown; nil starts from noise.
    package var frame: PictureFrame?
    /// Whether only a masked part of that picture changes.
    package var isMasked = false
    /// Latent pixels beyond each edge that are decoded too, copies of the outermost ones, and then cut off.
    package var decodeMargin: Int = Settings.decodeMargin.standard
    /// Precision of latents on the wire; it affects the picture, too.
    package var wire: WireFormat = Settings.wire.standard
    /// Does not affect the picture.
    package var globalPass: GlobalPass = Settings.globalPass.standard

    /// Settings with their defaults.
    ///
    /// - Parameters:
    ///   - size: of the picture in pixels
    ///   - steps: of each phase
    ///   - scheduler: the sampler
    ///   - change: sets what differs from the defaults
    package init(
        size: Extent,
        steps: Int = Settings.steps.standard,
        scheduler: SchedulerKind,
        _ change: (inout Self) -> Void = { _ in }
    ) {
        (self.size, self.steps, self.scheduler) = (size, steps, scheduler)
        change(&self)
    }

    /// How the render uses the init image; nil starts from noise.
    package var picture: PictureStart? {
        get {
            frame.map { PictureStart(strength: strength, fidelity: fidelity, frame: $0) }
        }
        set {
            frame = newValue?.frame
            strength = newValue?.strength ?? Settings.strength.standard
            fidelity = newValue?.fidelity ?? Settings.fidelity.standard
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

    /// With guidance at or below 1 the negative prompt has no weight and is not evaluated.
    package var guides: Bool { guidance > 1 }

    /// The guidance scale at a noise level: 1 outside the interval.
    ///
    /// - Parameters:
    ///   - scale: inside it
    ///   - level: σ/α
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

    /// Weights of a window's pixels in the fusion. Gaussian weights leave no seams; the authors' code, which `Border.zeros`
    /// follows, has uniform ones, and windows side by side do not overlap.
    package var fusionWeight: WindowWeight {
        windowWeight ?? (border == .zeros || stride == .window ? .uniform : .gaussian)
    }

    /// Half a window apart.
    static func defaultStride(for model: ModelGeometry) -> WindowStride {
        .every(max(1, model.nativeLatentSide / 2))
    }

    /// The settings that the PNG's text records, by name.
    package var json: [String: JSON] {
        var fields: [String: JSON] = [:]
        for setting in Settings.all where setting.isRecorded(of: self) {
            fields[setting.name] = setting.json(of: self)
        }
        return fields
    }

    /// Rejects settings with which no picture can be rendered.
    ///
    /// - Throws: `InputError` naming the flag
    package func validate(for model: ModelGeometry) throws(InputError) {
        for setting in Settings.all { try setting.check(self, for: model) }
        try picture?.validate(steps: steps)
        try validateMask()
        try validateRefinement()
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

    /// Rejects settings of refinement if another method is used.
    private func refuseRefinement() throws(InputError) {
        let standard = RefineSettings()
        let changes: [(setting: any AnySetting, isChanged: Bool)] = [
            (Settings.refineFrom, refine.from != standard.from),
            (Settings.refineSteps, refine.steps != standard.steps),
            (Settings.refineNoise, refine.noise != standard.noise),
            (Settings.refineGuidance, refine.guidance != standard.guidance),
        ]
        for change in changes where change.isChanged {
            throw InputError(
                "--\(change.setting.name)",
                "--method \(method.rawValue) does not use it",
                fix: "Leave it out, or add --method refine"
            )
        }
    }

    /// Rejects settings that refinement does not support.
    private func validateRefinement() throws(InputError) {
        guard let refinement else { return try refuseRefinement() }
        guard refinement.guidance <= 1 || guides else {
            throw InputError(
                "--refine-guidance",
                "\(refinement.guidance) needs the negative prompt, which is not used with --guidance \(guidance)",
                fix: "Choose at most 1, or a --guidance above 1"
            )
        }
        if let flag = demoFusionFlag {
            throw InputError(
                flag,
                "--method refine does not use it",
                fix: "Leave it out; --refine-from and --refine-noise say how much may change"
            )
        }
    }

    /// A flag that only DemoFusion uses, and that is not at its default.
    package var demoFusionFlag: String? {
        // Under a mask phase 1 is DemoFusion's under both methods.
        let isStarted = frame != nil && !isMasked
        let flags: [(name: String, isGiven: Bool)] = [
            ("--border zeros", border == .zeros), ("--skip-below", skipBelow > 0),
            ("--stride window", stride == .window),
            ("--strength", isStarted && strength != Settings.strength.standard),
            ("--fidelity", isStarted && fidelity != Settings.fidelity.standard),
        ]
        return flags.first { $0.isGiven }?.name
    }
}
