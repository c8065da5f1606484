import Engine

/// Where a render stands between two steps: all that is needed to go on.
package struct SamplerState: Sendable {
    /// Index into the plan's phases.
    package var phase = 0
    /// Next step of that phase.
    package var step = 0
    /// The whole latent before that step, `[1, height, width, channels]`.
    package var latent: Tensor
    package var history = Scheduler.History()
    /// The upsampled latent and the noise that diffuses it: in phases after the first, and in the first where
    /// it begins with a picture.
    package var source: (upsampled: Tensor, noise: Tensor)?
    /// The finished phase 1, to whose mean and deviation later phases are brought back; or the picture that
    /// the render began with.
    package var anchor: Tensor?
    /// That picture, encoded for this phase, where the phase is held to it.
    package var picture: Tensor?

    /// The latent is still that of the phase before, whose picture is to be enlarged for this one; where the
    /// method is refinement.
    package var awaitsEnlargement = false

    package init(latent: Tensor) { self.latent = latent }
}

/// One step's work: views to predict, and what is needed to fuse their predictions.
package struct StepWork: Sendable {
    /// The latent after the skip residual.
    package let mixed: Tensor
    package let windows: [Window]
    /// Local windows first, then lattices, or the one whole view of phase 1.
    package let views: [WorkUnit]
}

/// A render as a pure machine: it says which views a step needs, and makes of their predictions
/// the next latent. It renders nothing itself. DemoFusion is here; stages of refinement are in `Refine/`.
package struct Sampler: Sendable {
    package let plan: RenderPlan
    package let scheduler: Scheduler
    /// What its views are conditioned on.
    package let prompts: Prompts

    package init(plan: RenderPlan, scheduler: Scheduler, prompts: Prompts) {
        (self.plan, self.scheduler, self.prompts) = (plan, scheduler, prompts)
    }

    var channels: Int { plan.model.latentChannels }

    /// The state before the first step.
    ///
    /// - Parameters:
    ///   - noise: of the render
    ///   - picture: the one to begin with, encoded for the first phase; nil begins with noise
    /// - Returns: what the first phase begins with; where it has no steps, the picture itself
    /// - Throws: `InputError` from the noise source
    package func start(
        _ noise: some NoiseSource,
        picture: Tensor? = nil
    ) throws(InputError) -> SamplerState {
        let first = plan.phases[0]
        guard let picture else {
            let base = try noise.base(latent: first.phase.latent, channels: channels)
            return SamplerState(latent: base * scheduler.initNoiseSigma)
        }
        var state = SamplerState(latent: picture)
        state.anchor = picture
        guard !first.steps.isEmpty, first.refinement == nil else { return state }
        let base = try noise.base(latent: first.phase.latent, channels: channels)
        begin(&state, with: picture, base, picture: picture)
        return state
    }

    /// Cuts the state's latent into the views of its next step.
    ///
    /// - Throws: `InputError` from the noise source
    package func work(
        for state: SamplerState,
        noise: inout some NoiseSource
    ) throws(InputError) -> StepWork {
        let phase = plan.phases[state.phase]
        if let stage = phase.refinement { return try work(for: state, stage, noise: &noise) }
        let (i, timestep) = (state.step, scheduler.timesteps[state.step])
        func request(
            _ index: Int,
            _ latent: Tensor,
            crop: (Int, Int) = (0, 0),
            what: String = "the whole latent"
        ) -> WorkUnit {
            .view(
                index,
                latent * inputScale(of: index, at: state),
                timestep: timestep,
                guidance: plan.settings.guidance,
                prompts: prompts.at(step: i),
                timeIDs: timeIDs(crop: crop),
                place: "phase \(state.phase + 1), step \(i + 1), \(what)"
            )
        }
        let weights = phase.weights[i]
        let mixed =
            state.source.map { source in
                let noised = scheduler.addNoise(source.upsampled, source.noise, at: i)
                return Fusion.blend(state.latent, noised, share: weights.skip)
            } ?? state.latent
        guard let grid = phase.windows(at: i), let lattices = phase.lattices else {
            return StepWork(mixed: mixed, windows: [], views: [request(0, mixed)])
        }
        let windows = try noise.windows(of: grid, phase: phase.phase, step: i)
        var views: [WorkUnit] = []
        if phase.usesWindows(at: i) {
            let margin = plan.settings.border == .zeros ? grid.reach : 0
            let padded = mixed.padded(
                top: margin,
                left: margin,
                bottom: margin,
                right: margin
            )
            for window in windows {
                let view = padded.cropped(
                    top: window.top + margin,
                    left: window.left + margin,
                    height: window.height,
                    width: window.width
                )
                // Ids count from the margin's corner under both borders.
                let crop = (window.top + grid.margin, window.left + grid.margin)
                let what = "window at row \(window.top), column \(window.left)"
                views.append(request(views.count, view, crop: crop, what: what))
            }
        }
        if phase.usesLattices(at: i) {
            let blurred = GaussianBlur.renormalised(
                lattices.pad(mixed),
                dilation: phase.phase.dilation,
                sigma: weights.blurSigma,
                border: plan.settings.border
            )
            for lattice in 0..<lattices.count {
                let place = lattices.origin(of: lattice)
                let what = "lattice of row \(place.row), column \(place.column)"
                let view = lattices.view(lattice, of: blurred)
                views.append(request(views.count, view, what: what))
            }
        }
        return StepWork(mixed: mixed, windows: windows, views: views)
    }

    /// The fused prediction for the whole latent: (1 − c^a₂)·ε_local + c^a₂·ε_dilated.
    package func fuse(_ predictions: [Tensor], of work: StepWork, at state: SamplerState) -> Tensor
    {
        precondition(predictions.count == work.views.count, "\(predictions.count) predictions")
        let phase = plan.phases[state.phase]
        guard phase.windows != nil else { return predictions[0] }
        let i = state.step
        let locals = phase.usesWindows(at: i) ? work.windows.count : 0
        func local() -> Tensor {
            var average = WindowAverage(
                latent: phase.phase.latent,
                channels: channels,
                weight: plan.settings.windowWeight
            )
            for (window, prediction) in Swift.zip(work.windows, predictions) {
                average.add(prediction, at: window)
            }
            return average.mean()
        }
        func dilated(_ lattices: LatticeGrid) -> Tensor {
            var latent = Tensor(zeros: work.mixed.shape)
            for (lattice, prediction) in predictions[locals...].enumerated() {
                lattices.scatter(lattice, prediction, into: &latent)
            }
            return latent
        }
        guard let lattices = phase.lattices, phase.usesLattices(at: i) else { return local() }
        if !phase.usesWindows(at: i) { return dilated(lattices) }
        return Fusion.blend(local(), dilated(lattices), share: phase.weights[i].dilated)
    }

    /// Takes one scheduler step on the whole latent; at the end of a phase anchors it and opens the
    /// next one.
    ///
    /// - Parameters:
    ///   - state: becomes the next one
    ///   - work: of the step
    ///   - prediction: fused
    ///   - noise: of the render
    ///   - picture: encodes the picture that the render began with for a phase, counted from 0; is asked
    ///     where that phase is held to it
    /// - Returns: the finished latent of the phase, when this was its last step
    /// - Throws: `InputError` from the noise source, and what `picture` throws
    package func advance(
        _ state: inout SamplerState,
        _ work: StepWork,
        prediction: Tensor,
        noise: some NoiseSource,
        picture: (_ phase: Int) throws -> Tensor? = { _ in nil }
    ) throws -> Tensor? {
        if let stage = plan.phases[state.phase].refinement {
            return try advance(&state, work, stage, prediction: prediction, noise: noise)
        }
        let (phase, hold) = (plan.phases[state.phase].phase, plan.phases[state.phase].hold)
        func held(_ x: Tensor) -> Tensor {
            guard let hold, let picture = state.picture else { return x }
            return hold.apply(to: x, picture)
        }
        let drawn =
            scheduler.drawsNoise
            ? try noise.stochastic(phase: phase, step: state.step, channels: channels) : nil
        let prediction =
            state.picture == nil
            ? prediction
            : scheduler.output(
                prediction,
                at: state.step,
                from: work.mixed,
                changingEstimate: held
            )
        state.latent = scheduler.step(
            prediction,
            at: state.step,
            from: work.mixed,
            history: &state.history,
            noise: drawn
        )
        state.step += 1
        guard state.step == scheduler.timesteps.count else { return nil }
        if let anchor = state.anchor {
            state.latent = held(Fusion.anchor(state.latent, to: anchor))
        } else {
            state.anchor = state.latent
        }
        let finished = state.latent
        try finish(&state, noise, picture: picture)
        return finished
    }

    /// Goes on from a finished phase to the next one, if there is one; a stage of refinement begins when its
    /// picture has been enlarged.
    ///
    /// - Throws: as `advance`
    package func finish(
        _ state: inout SamplerState,
        _ noise: some NoiseSource,
        picture: (_ phase: Int) throws -> Tensor?
    ) throws {
        state.phase += 1
        guard state.phase < plan.phases.count else { return }
        guard plan.phases[state.phase].refinement == nil else {
            awaitEnlargement(&state)
            return
        }
        let isHeld = plan.phases[state.phase].hold != nil
        try open(&state, noise, picture: isHeld ? try picture(state.phase) : nil)
    }

    /// Upsamples the latent to the size of the phase that begins and noises it.
    package func open(
        _ state: inout SamplerState,
        _ noise: some NoiseSource,
        picture: Tensor?
    ) throws(InputError) {
        let phase = plan.phases[state.phase].phase
        let upsampled = Bicubic.resize(state.latent, to: phase.latent)
        let drawn = try noise.diffusion(of: phase, channels: channels)
        begin(&state, with: upsampled, drawn, picture: picture)
    }

    /// Noises a clean latent for the first step of a phase that is run.
    private func begin(
        _ state: inout SamplerState,
        with clean: Tensor,
        _ drawn: Tensor,
        picture: Tensor?
    ) {
        let phase = plan.phases[state.phase]
        state.picture = phase.hold == nil ? nil : picture
        let held = state.picture.flatMap { phase.hold?.apply(to: clean, $0) } ?? clean
        state.source = (held, drawn)
        state.step = phase.steps.lowerBound
        state.latent = scheduler.addNoise(held, drawn, at: state.step)
        state.history = Scheduler.History()
    }

    /// What a view is multiplied by for the model: the factor of the step.
    ///
    /// Under `Border.zeros` we do as the authors' code does: it asks the scheduler for the factor
    /// while the scheduler still stands where the last call left it, which is the step itself for
    /// the first view, and one further for all others; at the start of a later phase, the end.
    private func inputScale(of view: Int, at state: SamplerState) -> Float {
        let i = state.step
        guard plan.settings.border == .zeros, state.phase > 0, view > 0 || i == 0 else {
            return scheduler.inputScale(at: i)
        }
        let stale = view == 0 ? scheduler.timesteps.count : i + 1
        return stale < scheduler.timesteps.count ? scheduler.inputScale(at: stale) : 1
    }

    /// SDXL's ids: target height and width, crop's top and left, target height and width, in pixels.
    func timeIDs(crop: (top: Int, left: Int)) -> [Float]? {
        guard plan.model.usesTimeIDs else { return nil }
        let (size, factor) = (plan.settings.size, plan.model.vaeFactor)
        let target = [Float(size.height), Float(size.width)]
        return target + [Float(crop.top * factor), Float(crop.left * factor)] + target
    }
}
