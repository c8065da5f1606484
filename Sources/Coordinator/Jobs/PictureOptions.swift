import Engine
import Protocol
import Sampling

/// A picture to begin with, as asked for.
package struct PictureChoice: Equatable, Sendable {
    package var path: String
    package var strength: Double
    package var fidelity: Double
    package var limits: PictureLimits

    package init(
        path: String,
        strength: Double = PictureStart.defaults.strength,
        fidelity: Double = PictureStart.defaults.fidelity,
        limits: PictureLimits = PictureLimits()
    ) {
        (self.path, self.strength, self.fidelity) = (path, strength, fidelity)
        self.limits = limits
    }
}

/// The method as asked for: what is nil follows from the model.
package enum MethodChoice: Equatable, Sendable {
    case demofusion
    case refine(from: Double?, steps: Int?, noise: Double?, guidance: Float?)

    func resolved(isDistilled: Bool) -> Method {
        switch self {
        case .demofusion: .demofusion
        case .refine(let from, let steps, let noise, let guidance):
            .refine(
                RefineSettings(
                    from: from ?? RefineSettings.defaultFrom,
                    steps: steps ?? RefineSettings.defaultSteps(isDistilled: isDistilled),
                    noise: noise ?? RefineSettings.defaultNoise,
                    guidance: guidance ?? RefineSettings.defaultGuidance
                )
            )
        }
    }
}

/// A picture as asked for: what is nil is taken from the model.
package struct PictureOptions: Sendable {
    package var prompt: String
    package var negativePrompt: String?
    package var model: String?
    package var modelOptions: ModelOptions
    package var size: Extent?
    package var steps: Int?
    package var guidance: Float?
    package var seed: UInt64
    package var random: RandomKind
    package var scheduler: SchedulerKind?
    package var karras: Bool
    package var schedule: ScheduleChoice
    /// Whether a distilled model, told by its name, is sampled as it is meant to be where nothing else is
    /// asked for.
    package var usesModelPreset: Bool
    package var stride: WindowStride?
    /// Nil for what suits the method.
    package var windowWeight: WindowWeight?
    package var method: MethodChoice
    package var cosine: CosineSchedule
    package var ladder: LadderChoice
    package var skipBelow: Double
    package var border: Border
    package var picture: PictureChoice?
    package var wire: WireFormat
    package var globalPass: GlobalPass

    package init(
        prompt: String,
        negativePrompt: String? = nil,
        model: String? = nil,
        modelOptions: ModelOptions = ModelOptions(),
        size: Extent? = nil,
        steps: Int? = nil,
        guidance: Float? = nil,
        seed: UInt64 = 0,
        random: RandomKind = .torch,
        scheduler: SchedulerKind? = nil,
        karras: Bool = false,
        schedule: ScheduleChoice = ScheduleChoice(),
        usesModelPreset: Bool = true,
        stride: WindowStride? = nil,
        windowWeight: WindowWeight? = nil,
        method: MethodChoice = .demofusion,
        cosine: CosineSchedule = CosineSchedule(),
        ladder: LadderChoice = .everyScale,
        skipBelow: Double = 0,
        border: Border = .inside,
        picture: PictureChoice? = nil,
        wire: WireFormat = .f32,
        globalPass: GlobalPass = .coordinator
    ) {
        self.prompt = prompt
        self.negativePrompt = negativePrompt
        self.model = model
        self.modelOptions = modelOptions
        self.size = size
        self.steps = steps
        self.guidance = guidance
        self.seed = seed
        self.random = random
        self.scheduler = scheduler
        self.karras = karras
        self.schedule = schedule
        self.usesModelPreset = usesModelPreset
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

    package static let defaultSteps = 50
    package static let defaultGuidance: Float = 7.5

    /// The size that was asked for, or else that of the picture to begin with, or the model's own.
    package func size(for model: ModelGeometry, picture found: Extent?) -> Extent {
        let side = max(1024, 2 * model.nativeSide) / model.vaeFactor * model.vaeFactor
        return size ?? found.map { PictureStart.defaultSize(of: $0, model: model) }
            ?? Extent(height: side, width: side)
    }

    /// The settings with every default of the model, or of a picture of some size, filled in.
    func settings(
        for model: ModelGeometry,
        scheduler own: SchedulerKind,
        preset: Distillation? = nil,
        picture found: Extent?
    ) -> RenderSettings {
        let kind = scheduler ?? preset?.scheduler ?? own
        var schedule = schedule
        // LCM has timesteps of its own, and so does whoever asks for others.
        if kind != .lcm, !schedule.isSGMUniform {
            schedule.spacing = schedule.spacing ?? preset?.spacing
        }
        let size = size(for: model, picture: found)
        let start = picture.flatMap { picture in
            found.map { found in
                PictureStart(
                    strength: picture.strength,
                    fidelity: picture.fidelity,
                    frame: PictureFrame(
                        ofHeight: found.height,
                        width: found.width,
                        covering: (size.height, size.width),
                        slack: model.vaeFactor
                    )
                )
            }
        }
        return RenderSettings(
            size: size,
            steps: steps ?? preset?.steps ?? Self.defaultSteps,
            guidance: guidance ?? preset?.guidance ?? Self.defaultGuidance,
            seed: seed,
            random: random,
            scheduler: kind,
            karras: karras,
            schedule: schedule,
            stride: stride,
            windowWeight: windowWeight ?? (method == .demofusion ? .uniform : .gaussian),
            method: method.resolved(isDistilled: preset != nil),
            cosine: cosine,
            ladder: ladder,
            skipBelow: skipBelow,
            border: border,
            picture: start,
            wire: wire,
            globalPass: globalPass
        )
    }
}

extension CosineSchedule {
    /// The schedule that `--cosine-scales` and `--sigma` ask for.
    ///
    /// - Throws: `InputError` unless there are three exponents
    package static func parsed(
        exponents: [Double],
        sigma: Double
    ) throws(InputError) -> CosineSchedule {
        guard exponents.count == 3 else {
            throw InputError(
                "--cosine-scales",
                "there are \(exponents.count) numbers",
                fix: "Give three, as 3,1,1"
            )
        }
        return CosineSchedule(exponents: exponents, sigma: sigma)
    }
}
