import Engine

/// Refinement stages. Windows are fused after every step, so that they stay consistent: each step is a barrier, but
/// there are few.
extension Sampler {
    /// The views of a stage's next step: shifted windows of the latent.
    func work(
        for state: SamplerState,
        _ stage: RefineStage,
        noise: inout some NoiseSource
    ) throws(InputError) -> StepWork {
        let (i, phase) = (state.step, plan.phases[state.phase])
        guard let grid = phase.windows else { preconditionFailure("a stage without windows") }
        let windows = try noise.windows(of: grid, phase: phase.phase, step: i)
        let guidance = stage.guidance(at: i)
        let isRefined = isRefined(at: stage.position(at: i))
        let prompts = prompts.read(byRefiner: isRefined).last
        let views = windows.enumerated().map { index, window in
            WorkUnit.view(
                index,
                state.latent.cropped(
                    top: window.top,
                    left: window.left,
                    height: window.height,
                    width: window.width
                ) * stage.inputScale(at: i),
                timestep: stage.timestep(at: i),
                guidance: guidance,
                prompts: guidance > 1 ? prompts : prompts.unguided,
                timeIDs: timeIDs(
                    crop: (window.top + grid.margin, window.left + grid.margin),
                    isRefined: isRefined
                ),
                place: "phase \(state.phase + 1), step \(i + 1), window at row \(window.top), "
                    + "column \(window.left)"
            )
        }
        return StepWork(mixed: state.latent, windows: windows, views: views)
    }

    /// Takes one step of a stage on the whole latent.
    ///
    /// - Returns: whether this was the stage's last step
    func step(
        _ state: inout SamplerState,
        _ work: StepWork,
        _ stage: RefineStage,
        prediction: Tensor,
        noise: some NoiseSource
    ) throws(InputError) -> Bool {
        let phase = plan.phases[state.phase].phase
        if state.step == 0 {
            state.latent = stage.inverted(
                work.mixed,
                output: prediction,
                noise: stage.drawsNoise ? try noise.diffusion(of: phase, channels: channels) : nil
            )
        } else {
            state.latent = stage.schedule.step(
                prediction,
                at: state.step - 1,
                from: work.mixed,
                history: &state.history,
                noise: stage.schedule.drawsNoise
                    ? try noise.stochastic(phase: phase, step: state.step, channels: channels) : nil
            )
        }
        state.step += 1
        return state.step == stage.count
    }

    /// Moves on to a stage whose enlarged picture is not available yet.
    func awaitEnlargement(_ state: inout SamplerState) {
        begin(&state, refining: state.latent)
        state.awaitsEnlargement = true
    }

    /// Begins a stage.
    ///
    /// - Parameters:
    ///   - state: set to the state before the stage's first step
    ///   - latent: of the enlarged picture, at the stage's size
    package func begin(_ state: inout SamplerState, refining latent: Tensor) {
        (state.latent, state.step) = (latent, 0)
        (state.source, state.picture, state.awaitsEnlargement) = (nil, nil, false)
        state.history = Scheduler.History()
    }
}
