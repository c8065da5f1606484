import Engine

/// Stages of refinement. Windows are fused after every step, so that all of them walk the same way: each
/// step is a barrier, but there are few.
extension Sampler {
    /// Decodes a finished latent, enlarges the picture to the size of a phase, counted from 0, and encodes
    /// it.
    package typealias Enlarging = (_ latent: Tensor, _ phase: Int) throws -> Tensor

    /// For methods that never enlarge pictures.
    package static var cannotEnlarge: Enlarging {
        { _, phase in preconditionFailure("phase \(phase) refines, and nothing enlarges for it") }
    }

    /// The views of a stage's next step: shifted windows of the latent as it is.
    func work(
        for state: SamplerState,
        _ refinement: RefineSchedule,
        _ grid: WindowGrid,
        noise: inout some NoiseSource
    ) throws(InputError) -> StepWork {
        let i = state.step
        let windows = try noise.windows(
            of: grid,
            phase: plan.phases[state.phase].phase,
            step: i
        )
        let views = windows.enumerated().map { index, window in
            var view = ViewRequest(
                index: index,
                latent: state.latent.cropped(
                    top: window.top,
                    left: window.left,
                    height: window.height,
                    width: window.width
                ),
                timestep: Float(refinement.timesteps[i]),
                timeIDs: timeIDs(crop: (window.top + grid.margin, window.left + grid.margin)),
                guidance: refinement.guidance[i]
            )
            if refinement.guidance[i] <= 1 { view.branch = .text }
            view.place =
                "phase \(state.phase + 1), step \(i + 1), window at row \(window.top), "
                + "column \(window.left)"
            return view
        }
        return StepWork(mixed: state.latent, windows: windows, views: views)
    }

    /// Takes one step of a stage on the whole latent.
    func advance(
        _ state: inout SamplerState,
        _ work: StepWork,
        _ refinement: RefineSchedule,
        prediction: Tensor,
        noise: some NoiseSource,
        enlarged: Enlarging
    ) throws -> Tensor? {
        let phase = plan.phases[state.phase].phase
        state.latent = refinement.step(
            prediction,
            at: state.step,
            from: work.mixed,
            noise: refinement.drawsNoise(at: state.step)
                ? try noise.diffusion(of: phase, channels: channels) : nil
        )
        state.step += 1
        guard state.step == refinement.count else { return nil }
        let finished = state.latent
        try finish(&state, noise, picture: { _ in nil }, enlarged: enlarged)
        return finished
    }

    /// Begins a stage with the enlarged latent.
    func begin(_ state: inout SamplerState, refining latent: Tensor) {
        (state.latent, state.step) = (latent, 0)
        (state.source, state.picture) = (nil, nil)
        state.history = Scheduler.History()
    }
}
