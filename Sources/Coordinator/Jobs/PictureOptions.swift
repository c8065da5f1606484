import Engine
import Protocol

/// A picture to begin with, as asked for.
package struct PictureChoice: Equatable, Sendable {
    package var path: String
    package var strength: Double
    package var fidelity: Double

    package init(
        path: String,
        strength: Double = PictureStart.usual.strength,
        fidelity: Double = PictureStart.usual.fidelity
    ) {
        (self.path, self.strength, self.fidelity) = (path, strength, fidelity)
    }
}

/// A picture as asked for: what is nil is taken from the model.
package struct PictureOptions: Sendable {
    package var prompt: String
    package var negativePrompt: String?
    package var model: String?
    package var modelOptions: ModelOptions
    package var size: Extent?
    package var steps: Int
    package var guidance: Float
    package var seed: UInt64
    package var random: RandomKind
    package var scheduler: SchedulerKind?
    package var karras: Bool
    package var stride: WindowStride?
    package var windowWeight: WindowWeight?
    package var method: Method
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
        steps: Int = 50,
        guidance: Float = 7.5,
        seed: UInt64 = 0,
        random: RandomKind = .torch,
        scheduler: SchedulerKind? = nil,
        karras: Bool = false,
        stride: WindowStride? = nil,
        windowWeight: WindowWeight? = nil,
        method: Method = .demofusion,
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

    /// The size that was asked for, or else that of the picture to begin with, or the model's own.
    package func size(for model: ModelGeometry, picture found: Extent?) -> Extent {
        let side = max(1024, 2 * model.nativeSide) / model.vaeFactor * model.vaeFactor
        return size ?? found.map { InitPicture.usualSize(of: $0, model: model) }
            ?? Extent(height: side, width: side)
    }

    /// The settings with every default of the model, or of a picture of some size, filled in.
    func settings(
        for model: ModelGeometry,
        scheduler own: SchedulerKind,
        picture found: Extent?
    ) -> RenderSettings {
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
            steps: steps,
            guidance: guidance,
            seed: seed,
            random: random,
            scheduler: scheduler ?? own,
            karras: karras,
            stride: stride,
            windowWeight: windowWeight ?? (method.refinement == nil ? .uniform : .gaussian),
            method: method,
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
