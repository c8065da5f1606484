import Engine

/// Who renders phase 1. The raw values are those of `--global-pass`; the picture is the same.
package enum GlobalPass: String, CaseIterable, Sendable {
    /// The coordinator itself, which loads the UNet for it.
    case coordinator
    /// The cluster, each half of guidance on another worker.
    case workers
}

/// Everything that decides a picture besides the model, the prompt and the picture that it begins with. `Settings`
/// declares what each of these is.
package struct RenderSettings: Equatable, Sendable {
    package var size: Extent
    package var steps: Int = Settings.steps.standard
    package var guidance: Float = Settings.guidance.standard
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
    /// How local windows follow each other; when nil half a window apart, and in refinement three quarters of one.
    package var stride: WindowStride? = Settings.stride.standard
    package var windowWeight: WindowWeight = Settings.windowWeight.standard
    package var method: Method = Settings.method.standard
    /// Of no use but where that is refinement.
    package var refine = RefineSettings()
    package var cosine = CosineSchedule()
    package var ladder: LadderChoice = Settings.ladder.standard
    /// Windows and sub-lattices whose share of the fused prediction is smaller at a timestep are not
    /// evaluated at it, and the others have the whole. 0 leaves out only what has no share.
    package var skipBelow: Double = Settings.skipBelow.standard
    package var border: Border = Settings.border.standard
    /// Share of the noise schedule that is run in every phase of a render that begins with a picture.
    package var strength: Double = Settings.strength.standard
    /// Share of that picture's own resolution down to which the result is held to it.
    package var fidelity: Double = Settings.fidelity.standard
    /// What is shown of the picture that it begins with; nil begins with noise.
    package var frame: PictureFrame?
    /// How latents travel: decides the picture too.
    package var wire: WireFormat = Settings.wire.standard
    /// Does not decide the picture.
    package var globalPass: GlobalPass = Settings.globalPass.standard

    /// Settings with their defaults.
    ///
    /// - Parameters:
    ///   - size: of the picture in pixels
    ///   - steps: of each phase
    ///   - scheduler: by which noise becomes a picture
    ///   - change: what is to differ
    package init(
        size: Extent,
        steps: Int = Settings.steps.standard,
        scheduler: SchedulerKind,
        _ change: (inout Self) -> Void = { _ in }
    ) {
        (self.size, self.steps, self.scheduler) = (size, steps, scheduler)
        change(&self)
    }

    /// How the render makes use of the picture that it begins with; nil begins with noise.
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

    /// How stages are refined, where that is the method.
    package var refinement: RefineSettings? {
        get { method == .refine ? refine : nil }
        set {
            method = newValue == nil ? .demofusion : .refine
            refine = newValue ?? RefineSettings()
        }
    }

    /// With guidance at or below 1 the negative prompt has no weight and is not evaluated.
    package var guides: Bool { guidance > 1 }

    /// How local windows follow each other.
    package func stride(for model: ModelGeometry) -> WindowStride {
        stride
            ?? (refinement == nil
                ? Self.defaultStride(for: model)
                : .every(max(1, 3 * model.nativeLatentSide / 4)))
    }

    /// Half a window apart.
    static func defaultStride(for model: ModelGeometry) -> WindowStride {
        .every(max(1, model.nativeLatentSide / 2))
    }

    /// The settings that a picture's text tells, by name.
    package var json: [String: JSON] {
        var fields: [String: JSON] = [:]
        for setting in Settings.all where setting.isRecorded(of: self) {
            fields[setting.name] = setting.json(of: self)
        }
        return fields
    }

    /// Refuses settings that no picture can be made with.
    ///
    /// - Throws: `InputError` naming the flag
    package func validate(for model: ModelGeometry) throws(InputError) {
        for setting in Settings.all { try setting.check(self, for: model) }
        try picture?.validate(steps: steps)
        try validateRefinement()
        guard stride != .window || windowWeight == .uniform else {
            throw InputError(
                "--window-weight",
                "windows side by side do not overlap, and have nothing to weigh",
                fix: "Leave it out, or give --stride a number"
            )
        }
    }

    /// Refuses settings of refinement where the method is another.
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

    /// Refuses what refinement does not know.
    private func validateRefinement() throws(InputError) {
        guard let refinement else { return try refuseRefinement() }
        guard refinement.guidance <= 1 || guides else {
            throw InputError(
                "--refine-guidance",
                "\(refinement.guidance) needs the negative prompt, which --guidance \(guidance) does without",
                fix: "Choose at most 1, or a --guidance above 1"
            )
        }
        let isStarted = frame != nil
        let others: [(flag: String, isGiven: Bool)] = [
            ("--border zeros", border == .zeros), ("--skip-below", skipBelow > 0),
            ("--stride window", stride == .window),
            ("--strength", isStarted && strength != Settings.strength.standard),
            ("--fidelity", isStarted && fidelity != Settings.fidelity.standard),
        ]
        for other in others where other.isGiven {
            throw InputError(
                other.flag,
                "--method refine does not use it",
                fix: "Leave it out; --refine-from and --refine-noise say how much may change"
            )
        }
    }
}
