import Engine

/// A render as a pure state machine: it says which views a step needs, and computes the next latent from their
/// predictions. It runs no network itself. The steps of DemoFusion are in `DemoFusion/Sampler+DemoFusion.swift`, those
/// of refinement in `Refine/Sampler+Refine.swift`.
package struct Sampler: Sendable {
    package let plan: RenderPlan
    package let scheduler: Scheduler
    /// The conditioning of the views.
    package let prompts: Prompts

    package init(plan: RenderPlan, scheduler: Scheduler, prompts: Prompts) {
        (self.plan, self.scheduler, self.prompts) = (plan, scheduler, prompts)
    }

    var channels: Int { plan.model.latentChannels }

    /// The state before the first step.
    ///
    /// - Parameters:
    ///   - noise: the render's noise source
    ///   - picture: the init image of the first phase; nil to start from noise
    /// - Returns: the initial state; if the first phase has no steps, it holds the picture itself
    /// - Throws: `InputError` from the noise source
    package func start(
        _ noise: some NoiseSource,
        picture: PhasePicture? = nil
    ) throws(InputError) -> SamplerState {
        let first = plan.phases[0]
        guard let picture else {
            let base = try noise.base(latent: first.phase.latent, channels: channels)
            return SamplerState(latent: base * scheduler.initNoiseSigma)
        }
        guard picture.mask == nil else { return try start(noise, masked: picture) }
        var state = SamplerState(latent: picture.latent)
        state.anchor = picture.latent
        guard !first.steps.isEmpty, first.refinement == nil else { return state }
        let base = try noise.base(latent: first.phase.latent, channels: channels)
        begin(&state, with: picture.latent, base, picture: picture)
        return state
    }

    /// The state before the first step of a render that changes the masked part of a picture. At full strength it
    /// starts from pure noise.
    private func start(
        _ noise: some NoiseSource,
        masked picture: PhasePicture
    ) throws(InputError) -> SamplerState {
        let first = plan.phases[0]
        let base = try noise.base(latent: first.phase.latent, channels: channels)
        var state = SamplerState(latent: base * scheduler.initNoiseSigma)
        // A network that has the mask as an input keeps the rest by itself.
        if plan.model.pictureInput != .inpainting {
            (state.picture, state.mask) = (picture.latent, picture.mask)
            state.source = (picture.latent, base)
        }
        state.step = first.steps.lowerBound
        if state.step > 0 {
            state.latent = scheduler.addNoise(picture.latent, base, at: state.step)
        }
        return state
    }

    /// Cuts the state's latent into the views of the next step.
    ///
    /// - Parameters:
    ///   - state: the state before the step
    ///   - picture: the network's additional input channels for this phase, `[1, height, width, channels]`; nil if it
    ///     has none
    ///   - noise: the render's noise source
    /// - Returns: the views, and what is needed to fuse their predictions
    /// - Throws: `InputError` from the noise source
    package func work(
        for state: SamplerState,
        picture: Tensor? = nil,
        noise: inout some NoiseSource
    ) throws(InputError) -> StepWork {
        if let stage = plan.phases[state.phase].refinement {
            return try work(for: state, stage, picture, noise: &noise)
        }
        return try demoFusionWork(for: state, picture, noise: &noise)
    }

    /// The image guidance scale; nil unless the model edits pictures.
    var imageGuidance: Float? {
        plan.model.pictureInput == .editing ? plan.settings.imageGuidance : nil
    }

    /// Takes one sampler step on the whole latent. At the end of a phase, matches the latent's mean and standard
    /// deviation to the anchor's and starts the next phase.
    ///
    /// - Parameters:
    ///   - state: advanced to the next step
    ///   - work: the work of the step
    ///   - prediction: the fused prediction
    ///   - noise: the render's noise source
    ///   - picture: encodes the init image for a phase, counted from 0; called only for phases that are guided by it
    /// - Returns: the finished latent of the phase, if this was its last step
    /// - Throws: `InputError` from the noise source, and whatever `picture` throws
    package func advance(
        _ state: inout SamplerState,
        _ work: StepWork,
        prediction: Tensor,
        noise: some NoiseSource,
        picture: (_ phase: Int) throws -> PhasePicture? = { _ in nil }
    ) throws -> Tensor? {
        let drawn = try stepNoise(state, noise)
        guard step(&state, work, prediction: prediction, drawn: drawn) else { return nil }
        let finished = state.latent
        try finish(&state, noise, picture: picture)
        return finished
    }

    /// Takes one step on the whole latent or on a part of it.
    ///
    /// - Parameters:
    ///   - state: advanced to the next step
    ///   - work: the work of the step
    ///   - prediction: the fused prediction
    ///   - drawn: the noise from `stepNoise`
    /// - Returns: whether this was the phase's last step
    func step(
        _ state: inout SamplerState,
        _ work: StepWork,
        prediction: Tensor,
        drawn: Tensor?
    ) -> Bool {
        if let stage = plan.phases[state.phase].refinement {
            return refineStep(&state, work, stage, prediction: prediction, drawn: drawn)
        }
        return demoFusionStep(&state, work, prediction: prediction, drawn: drawn)
    }

    /// Unit noise that the next step adds; nil if it adds none.
    ///
    /// - Throws: `InputError` from the noise source
    func stepNoise(
        _ state: SamplerState,
        _ noise: some NoiseSource
    ) throws(InputError) -> Tensor? {
        let phase = plan.phases[state.phase]
        let stage = phase.refinement
        if let stage, state.step == 0 {
            return stage.drawsNoise
                ? try noise.diffusion(of: phase.phase, channels: channels) : nil
        }
        return (stage?.schedule ?? scheduler).drawsNoise
            ? try noise.stochastic(phase: phase.phase, step: state.step, channels: channels) : nil
    }

    /// The latent that a step's views are cut from.
    func mixed(_ state: SamplerState) -> Tensor {
        plan.phases[state.phase].refinement == nil ? skipResidual(state) : state.latent
    }

    /// Makes a view of one window of the latent.
    ///
    /// - Parameters:
    ///   - index: index among the views of the step
    ///   - window: position of the window
    ///   - grid: the step's window grid
    ///   - state: the state before the step
    ///   - latent: the window's part of the latent, including the margin
    ///   - picture: the network's additional input channels for this window
    /// - Returns: the view
    func windowView(
        _ index: Int,
        _ window: Window,
        _ grid: WindowGrid,
        at state: SamplerState,
        latent: Tensor,
        picture: Tensor?
    ) -> WorkUnit {
        // Crop ids count from the margin's corner in both padding modes.
        let crop = (window.top + grid.margin, window.left + grid.margin)
        let name = "window at row \(window.top), column \(window.left)"
        var unit =
            if let stage = plan.phases[state.phase].refinement {
                refineView(index, latent, picture, of: state, stage, crop: crop, name)
            } else {
                view(index, latent, picture, of: state, crop: crop, name)
            }
        unit.place = window.region
        return unit
    }

    /// The views of the next step that can be cut while this step is still being computed.
    ///
    /// - Parameters:
    ///   - work: the work of this step
    ///   - state: the state before this step
    ///   - picture: as for `work(for:picture:noise:)`
    ///   - noise: the noise source after this step's draws
    /// - Returns: nil if there are no such views
    package func early(
        after work: StepWork,
        at state: SamplerState,
        picture: Tensor? = nil,
        noise: some NoiseSource
    ) -> EarlyViews? {
        EarlyViews(self, after: work, at: state, picture: picture, noise: noise)
    }

    /// Starts the next phase, if there is one. If the picture is enlarged rather than the latent, the phase starts
    /// after that.
    ///
    /// - Throws: the errors of `advance`
    package func finish(
        _ state: inout SamplerState,
        _ noise: some NoiseSource,
        picture: (_ phase: Int) throws -> PhasePicture?
    ) throws {
        state.phase += 1
        guard state.phase < plan.phases.count else { return }
        guard plan.enlargements[state.phase] == nil else {
            awaitEnlargement(&state)
            return
        }
        let isConstrained =
            plan.phases[state.phase].constraint != nil || plan.settings.isMasked
        try open(&state, noise, picture: isConstrained ? try picture(state.phase) : nil)
    }

    /// Moves on to a phase whose enlarged picture is not available yet.
    private func awaitEnlargement(_ state: inout SamplerState) {
        (state.picture, state.mask, state.source) = (nil, nil, nil)
        state.history = Scheduler.History()
        state.step = plan.phases[state.phase].steps.lowerBound
        state.awaitsEnlargement = true
    }

    /// Begins a phase whose picture has been enlarged.
    ///
    /// - Parameters:
    ///   - state: set to the state before the phase's first step
    ///   - latent: the encoded enlarged picture, at the phase's size
    ///   - noise: the render's noise source
    ///   - picture: the init image at that size, if the phase is constrained to it or keeps a part of it
    /// - Throws: `InputError` from the noise source
    package func begin(
        _ state: inout SamplerState,
        enlarged latent: Tensor,
        _ noise: some NoiseSource,
        picture: PhasePicture? = nil
    ) throws(InputError) {
        state.awaitsEnlargement = false
        let phase = plan.phases[state.phase]
        if phase.refinement != nil {
            begin(&state, refining: latent, picture: picture)
        } else {
            let drawn = try noise.diffusion(of: phase.phase, channels: channels)
            begin(&state, with: latent, drawn, picture: picture)
        }
    }

    /// Whether the refiner predicts at the noise level of a timestep of the training schedule.
    func isRefined(at timestep: Float) -> Bool {
        plan.model.isRefined(at: timestep, of: scheduler.trainTimesteps)
    }

    /// SDXL's time ids: target height and width, crop top and left, target height and width, in pixels. For the
    /// refiner, an aesthetic score replaces the last two.
    func timeIDs(crop: (top: Int, left: Int), isRefined: Bool) -> TimeIDs? {
        guard plan.model.usesTimeIDs else { return nil }
        let (size, factor) = (plan.settings.size, plan.model.vaeFactor)
        let target = [Float(size.height), Float(size.width)]
        let place = target + [Float(crop.top * factor), Float(crop.left * factor)]
        guard isRefined else { return TimeIDs(positive: place + target, negative: place + target) }
        return TimeIDs(
            positive: place + [Self.aestheticScore],
            negative: place + [Self.negativeAestheticScore]
        )
    }

    /// Aesthetic scores from 1 to 10, with Stability AI's default values.
    private static let aestheticScore: Float = 6
    private static let negativeAestheticScore: Float = 2.5
}
