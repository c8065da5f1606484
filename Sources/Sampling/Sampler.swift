import Engine

/// A render as a pure state machine: it says which views a step needs, and makes the next latent from their
/// predictions. It renders nothing itself. Steps of DemoFusion are in `DemoFusion/Sampler+DemoFusion.swift`,
/// those of refinement in `Refine/Sampler+Refine.swift`.
package struct Sampler: Sendable {
    package let plan: RenderPlan
    package let scheduler: Scheduler
    /// The conditioning of its views.
    package let prompts: Prompts

    package init(plan: RenderPlan, scheduler: Scheduler, prompts: Prompts) {
        (self.plan, self.scheduler, self.prompts) = (plan, scheduler, prompts)
    }

    var channels: Int { plan.model.latentChannels }

    /// The state before the first step.
    ///
    /// - Parameters:
    ///   - noise: of the render
    ///   - picture: the init image of the first phase; nil starts from noise
    /// - Returns: what the first phase starts from; where it has no steps, the picture itself
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

    /// The state before the first step of a render that changes the masked part of a picture: at full strength from
    /// noise alone.
    private func start(
        _ noise: some NoiseSource,
        masked picture: PhasePicture
    ) throws(InputError) -> SamplerState {
        let first = plan.phases[0]
        let base = try noise.base(latent: first.phase.latent, channels: channels)
        var state = SamplerState(latent: base * scheduler.initNoiseSigma)
        // A network that takes the mask keeps the rest by itself.
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

    /// Cuts the state's latent into the views of its next step.
    ///
    /// - Parameters:
    ///   - state: before the step
    ///   - picture: what the network takes beside the latent, `[1, height, width, channels]` of the phase; nil if it takes
    ///     nothing
    ///   - noise: of the render
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

    /// The scale of a picture that is edited; nil for models that edit none.
    var imageGuidance: Float? {
        plan.model.pictureInput == .editing ? plan.settings.imageGuidance : nil
    }

    /// Takes one scheduler step on the whole latent; at the end of a phase matches its mean and deviation to the
    /// anchor and starts the next phase.
    ///
    /// - Parameters:
    ///   - state: becomes the next one
    ///   - work: of the step
    ///   - prediction: fused
    ///   - noise: of the render
    ///   - picture: encodes the init image for a phase, counted from 0; is called where that phase is
    ///     guided by it
    /// - Returns: the finished latent of the phase, if this was its last step
    /// - Throws: `InputError` from the noise source, and what `picture` throws
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

    /// Takes one step, of the whole latent or of a part of it.
    ///
    /// - Parameters:
    ///   - state: becomes the next one
    ///   - work: of the step
    ///   - prediction: fused
    ///   - drawn: what `stepNoise` draws
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

    /// Unit noise that the state's next step adds; nil if it adds none.
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

    /// A window of the latent as a view.
    ///
    /// - Parameters:
    ///   - index: its number among the views of the step
    ///   - window: where it lies
    ///   - grid: of the step's windows
    ///   - state: before the step
    ///   - latent: of the window, with the margin
    ///   - picture: what the network takes beside it
    /// - Returns: the view
    func windowView(
        _ index: Int,
        _ window: Window,
        _ grid: WindowGrid,
        at state: SamplerState,
        latent: Tensor,
        picture: Tensor?
    ) -> WorkUnit {
        // Ids count from the margin's corner under both padding modes.
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

    /// The views of the next step that can be cut while this one is being computed.
    ///
    /// - Parameters:
    ///   - work: of this step
    ///   - state: before this step
    ///   - picture: as for `work`
    ///   - noise: after the draws of this step
    /// - Returns: nil where none can
    package func early(
        after work: StepWork,
        at state: SamplerState,
        picture: Tensor? = nil,
        noise: some NoiseSource
    ) -> EarlyViews? {
        EarlyViews(self, after: work, at: state, picture: picture, noise: noise)
    }

    /// Starts the next phase, if there is one; where the picture is enlarged, not the latent, it starts after that.
    ///
    /// - Throws: as `advance`
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
    ///   - latent: of the enlarged picture, at the phase's size
    ///   - noise: of the render
    ///   - picture: the init image at that size, if the phase is constrained to it or a part of it stays
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

    /// Whether the refiner predicts where a latent is as noisy as at a timestep of the training schedule.
    func isRefined(at timestep: Float) -> Bool {
        plan.model.isRefined(at: timestep, of: scheduler.trainTimesteps)
    }

    /// SDXL's time ids: target height and width, crop's top and left, target height and width, in pixels. In place of
    /// the last two the refiner gets an aesthetic score.
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

    /// Stability's own choice, of 1 to 10.
    private static let aestheticScore: Float = 6
    private static let negativeAestheticScore: Float = 2.5
}
