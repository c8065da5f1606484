import Engine

/// Who renders phase 1. The raw values are those of `--global-pass`; the picture is the same.
package enum GlobalPass: String, CaseIterable, Sendable {
    /// The coordinator itself, which loads the UNet for it.
    case coordinator
    /// The cluster, each half of guidance on another worker.
    case workers
}

/// Everything that decides a picture besides the model and the prompt.
package struct RenderSettings: Equatable, Sendable {
    /// Size of the picture in pixels.
    package var size: Extent
    package var steps: Int
    package var guidance: Float
    package var seed: UInt64
    package var random: RandomKind
    package var scheduler: SchedulerKind
    package var karras: Bool
    /// How its timesteps are laid out, where the model does not decide it.
    package var schedule: ScheduleChoice
    /// How local windows follow each other; when nil, half a window apart, and in refinement three quarters of one.
    package var stride: WindowStride?
    package var windowWeight: WindowWeight
    package var method: Method
    package var cosine: CosineSchedule
    package var ladder: LadderChoice
    /// Windows and sub-lattices whose share of the fused prediction is smaller at a timestep are not
    /// evaluated at it, and the others have the whole. 0 leaves out only what has no share.
    package var skipBelow: Double
    package var border: Border
    /// The picture that it begins with; nil begins with noise.
    package var picture: PictureStart?
    /// How latents travel: decides the picture too.
    package var wire: WireFormat
    /// Does not decide the picture.
    package var globalPass: GlobalPass

    package init(
        size: Extent,
        steps: Int = 50,
        guidance: Float = 7.5,
        seed: UInt64 = 0,
        random: RandomKind = .torch,
        scheduler: SchedulerKind,
        karras: Bool = false,
        schedule: ScheduleChoice = ScheduleChoice(),
        stride: WindowStride? = nil,
        windowWeight: WindowWeight = .uniform,
        method: Method = .demofusion,
        cosine: CosineSchedule = CosineSchedule(),
        ladder: LadderChoice = .everyScale,
        skipBelow: Double = 0,
        border: Border = .inside,
        picture: PictureStart? = nil,
        wire: WireFormat = .f32,
        globalPass: GlobalPass = .coordinator
    ) {
        self.size = size
        self.steps = steps
        self.guidance = guidance
        self.seed = seed
        self.random = random
        self.scheduler = scheduler
        self.karras = karras
        self.schedule = schedule
        self.stride = stride
        self.windowWeight = windowWeight
        self.method = method
        self.cosine = cosine
        self.ladder = ladder
        self.skipBelow = skipBelow
        self.border = border
        self.picture = picture
        self.wire = wire
        self.globalPass = globalPass
    }

    /// With guidance at or below 1 the negative prompt has no weight and is not evaluated.
    package var guides: Bool { guidance > 1 }

    /// How local windows follow each other.
    package func stride(for model: ModelGeometry) -> WindowStride {
        stride
            ?? (method.refinement == nil
                ? Self.defaultStride(for: model)
                : .every(max(1, 3 * model.nativeLatentSide / 4)))
    }

    /// Half a window apart.
    static func defaultStride(for model: ModelGeometry) -> WindowStride {
        .every(max(1, model.nativeLatentSide / 2))
    }

    /// Refuses what refinement does not know.
    private func validateRefinement() throws(InputError) {
        guard let refinement = method.refinement else { return }
        try refinement.validate()
        guard refinement.guidance <= 1 || guides else {
            throw InputError(
                "--refine-guidance",
                "\(refinement.guidance) needs the negative prompt, which --guidance \(guidance) does without",
                fix: "Choose at most 1, or a --guidance above 1"
            )
        }
        let defaults = PictureStart.defaults
        let others: [(flag: String, isGiven: Bool)] = [
            ("--border zeros", border == .zeros), ("--skip-below", skipBelow > 0),
            ("--stride window", stride == .window),
            ("--strength", picture.map { $0.strength != defaults.strength } ?? false),
            ("--fidelity", picture.map { $0.fidelity != defaults.fidelity } ?? false),
        ]
        for other in others where other.isGiven {
            throw InputError(
                other.flag,
                "--method refine does not use it",
                fix: "Leave it out; --refine-from and --refine-noise say how much may change"
            )
        }
    }

    /// Largest side of a picture that is accepted, in pixels.
    package static let longestSide = 65_536

    /// Refuses settings that no picture can be made with.
    ///
    /// - Throws: `InputError` naming the flag
    package func validate(for model: ModelGeometry) throws(InputError) {
        let (size, factor) = (size, model.vaeFactor)
        guard size.height > 0, size.width > 0, size.longSide <= Self.longestSide else {
            throw InputError(
                "--size",
                "\(size) is out of range",
                fix: "Choose sides from \(factor) to \(Self.longestSide) pixels"
            )
        }
        guard size.height % factor == 0, size.width % factor == 0 else {
            let near = { (side: Int) in max(factor, (side + factor / 2) / factor * factor) }
            throw InputError(
                "--size",
                "\(size) is not a multiple of \(factor) pixels",
                fix: "The nearest is \(near(size.width))x\(near(size.height))"
            )
        }
        guard (1...1000).contains(steps) else {
            throw InputError("--steps", "\(steps) is out of range", fix: "Choose 1 to 1000")
        }
        try picture?.validate(steps: steps)
        try validateRefinement()
        guard guidance.isFinite, (0...100).contains(guidance) else {
            throw InputError("--guidance", "\(guidance) is out of range", fix: "Choose 0 to 100")
        }
        if case .every(let stride) = stride, !(1...model.nativeLatentSide).contains(stride) {
            throw InputError(
                "--stride",
                "\(stride) is out of range",
                fix: "Choose 1 to \(model.nativeLatentSide), the window's side in latent pixels"
            )
        }
        guard stride != .window || windowWeight == .uniform else {
            throw InputError(
                "--window-weight",
                "windows side by side do not overlap, and have nothing to weigh",
                fix: "Leave it out, or give --stride a number"
            )
        }
        // Above a half both paths could fall away at once.
        guard (0...0.5).contains(skipBelow) else {
            throw InputError(
                "--skip-below",
                "\(skipBelow) is out of range",
                fix: "Choose a share from 0 to 0.5, as 0.05"
            )
        }
        guard cosine.exponents.allSatisfy({ $0.isFinite && $0 >= 0 }) else {
            throw InputError(
                "--cosine-scales",
                "exponents must be numbers from 0 up",
                fix: "Write 3,1,1"
            )
        }
        guard cosine.sigma.isFinite, (0.01...100).contains(cosine.sigma) else {
            throw InputError(
                "--sigma",
                "\(cosine.sigma) is out of range",
                fix: "Choose 0.01 to 100"
            )
        }
    }
}
