import Engine

/// Refinement stages. Windows are fused after every step, to keep them consistent: each step waits for the previous
/// one, but there are few steps.
extension Sampler {
    /// The views of a stage's next step: shifted windows of the latent.
    func work(
        for state: SamplerState,
        _ stage: RefineStage,
        _ picture: Tensor?,
        noise: inout some NoiseSource
    ) throws(InputError) -> StepWork {
        let (i, phase) = (state.step, plan.phases[state.phase])
        guard let grid = phase.windows else { preconditionFailure("a stage without windows") }
        let windows = try noise.windows(of: grid, phase: phase.phase, step: i)
        let views = windows.enumerated().map { index, window in
            func cut(_ whole: Tensor) -> Tensor {
                whole.cropped(
                    top: window.top,
                    left: window.left,
                    height: window.height,
                    width: window.width
                )
            }
            return windowView(
                index,
                window,
                grid,
                at: state,
                latent: cut(state.latent),
                picture: picture.map(cut)
            )
        }
        return StepWork(mixed: state.latent, windows: windows, views: views)
    }

    func refineView(
        _ index: Int,
        _ latent: Tensor,
        _ picture: Tensor?,
        of state: SamplerState,
        _ stage: RefineStage,
        crop: (Int, Int),
        _ what: String
    ) -> WorkUnit {
        let i = state.step
        let guidance = stage.guidance(at: i)
        let isRefined = isRefined(at: stage.position(at: i))
        let prompts = prompts.read(byRefiner: isRefined).last
        return .view(
            index,
            latent * stage.inputScale(at: i),
            timestep: stage.timestep(at: i),
            guidance: guidance,
            prompts: guidance > 1 ? prompts : prompts.unguided,
            timeIDs: timeIDs(crop: crop, isRefined: isRefined),
            picture: isRefined ? nil : picture,
            imageGuidance: isRefined ? nil : imageGuidance,
            place: "phase \(state.phase + 1), step \(i + 1), \(what)"
        )
    }

    /// Takes one step of a stage on the whole latent.
    ///
    /// - Returns: whether this was the stage's last step
    func refineStep(
        _ state: inout SamplerState,
        _ work: StepWork,
        _ stage: RefineStage,
        prediction: Tensor,
        drawn: Tensor?
    ) -> Bool {
        if state.step == 0 {
            state.latent = stage.inverted(work.mixed, output: prediction, noise: drawn)
        } else {
            state.latent = stage.schedule.step(
                keeping(state, prediction, of: work, stage),
                at: state.step - 1,
                from: work.mixed,
                history: &state.history,
                noise: drawn
            )
        }
        state.step += 1
        let isFinished = state.step == stage.count
        guard isFinished else { return false }
        if let means = state.means, let grid = plan.phases[state.phase].windows {
            state.latent = means.restored(in: state.latent, grid, plan.settings.fusionWeight)
        }
        (state.latent, state.means) = (state.keepingPicture(state.latent), nil)
        return true
    }

    /// Changes a prediction so that its estimate of the clean latent equals the init image outside the mask.
    private func keeping(
        _ state: SamplerState,
        _ prediction: Tensor,
        of work: StepWork,
        _ stage: RefineStage
    ) -> Tensor {
        guard state.mask != nil else { return prediction }
        return stage.schedule.output(
            prediction,
            at: state.step - 1,
            from: work.mixed,
            changingEstimate: { state.keepingPicture($0) }
        )
    }

    /// Begins a stage.
    ///
    /// - Parameters:
    ///   - state: set to the state before the stage's first step
    ///   - latent: the encoded enlarged picture, at the stage's size
    ///   - picture: the init image at that size, if a part of it is kept
    func begin(
        _ state: inout SamplerState,
        refining latent: Tensor,
        picture: PhasePicture? = nil
    ) {
        (state.picture, state.mask) = (picture?.mask == nil ? nil : picture?.latent, picture?.mask)
        (state.latent, state.step) = (state.keepingPicture(latent), 0)
        state.means = plan.phases[state.phase].windows.map {
            WindowMeans(of: state.latent, in: $0, plan.settings.fusionWeight)
        }
        state.source = nil
        state.history = Scheduler.History()
    }
}
