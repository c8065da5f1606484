import Engine

/// Steps of DemoFusion's phases (Du et al., CVPR 2024, arXiv 2311.16973).
extension Sampler {
    /// The views of a phase's next step: the whole latent in phase 1, otherwise windows and lattices of the latent
    /// after the skip residual.
    func demoFusionWork(
        for state: SamplerState,
        _ picture: Tensor?,
        noise: inout some NoiseSource
    ) throws(InputError) -> StepWork {
        let phase = plan.phases[state.phase]
        let i = state.step
        let mixed = skipResidual(state)
        guard let grid = phase.windows(at: i), let lattices = phase.lattices else {
            let whole = view(0, mixed, picture, of: state, "the whole latent")
            return StepWork(mixed: mixed, windows: [], views: [whole])
        }
        let windows = try noise.windows(of: grid, phase: phase.phase, step: i)
        var views: [WorkUnit] = []
        if phase.usesWindows(at: i) {
            views += windowViews(windows, grid, of: mixed, picture, at: state)
        }
        if phase.usesLattices(at: i) {
            views += latticeViews(lattices, of: mixed, picture, at: state, from: views.count)
        }
        return StepWork(mixed: mixed, windows: windows, views: views)
    }

    /// The latent after the skip residual: blended with the noised upsampled latent, whose weight is c₁.
    func skipResidual(_ state: SamplerState) -> Tensor {
        // With a mask, phase 1 has no picture yet of what it changes.
        guard let source = state.source, state.mask == nil || !plan.phases[state.phase].isWhole
        else { return state.latent }
        let noised = scheduler.addNoise(source.upsampled, source.noise, at: state.step)
        let share = plan.phases[state.phase].weights[state.step].skip
        return Fusion.blend(state.latent, noised, share: share)
    }

    private func windowViews(
        _ windows: [Window],
        _ grid: WindowGrid,
        of mixed: Tensor,
        _ picture: Tensor?,
        at state: SamplerState
    ) -> [WorkUnit] {
        let margin = plan.settings.border == .zeros ? grid.reach : 0
        func padded(_ whole: Tensor) -> Tensor {
            whole.padded(top: margin, left: margin, bottom: margin, right: margin)
        }
        let (padded, pictured) = (padded(mixed), picture.map(padded))
        return windows.enumerated().map { index, window in
            func cut(_ whole: Tensor) -> Tensor {
                whole.cropped(
                    top: window.top + margin,
                    left: window.left + margin,
                    height: window.height,
                    width: window.width
                )
            }
            return windowView(
                index,
                window,
                grid,
                at: state,
                latent: cut(padded),
                picture: pictured.map(cut)
            )
        }
    }

    private func latticeViews(
        _ lattices: LatticeGrid,
        of mixed: Tensor,
        _ picture: Tensor?,
        at state: SamplerState,
        from first: Int
    ) -> [WorkUnit] {
        let phase = plan.phases[state.phase]
        let blurred = GaussianBlur.renormalised(
            lattices.pad(mixed),
            dilation: phase.phase.dilation,
            sigma: phase.weights[state.step].blurSigma,
            border: plan.settings.border
        )
        let pictured = picture.map(lattices.pad)
        return (0..<lattices.count).map { lattice in
            let place = lattices.origin(of: lattice)
            return view(
                first + lattice,
                lattices.view(lattice, of: blurred),
                pictured.map { lattices.view(lattice, of: $0) },
                of: state,
                "lattice of row \(place.row), column \(place.column)"
            )
        }
    }

    func view(
        _ index: Int,
        _ latent: Tensor,
        _ picture: Tensor?,
        of state: SamplerState,
        crop: (Int, Int) = (0, 0),
        _ what: String
    ) -> WorkUnit {
        let guidance = plan.phases[state.phase].guidance(at: state.step)
        let isRefined = isRefined(at: scheduler.positions[state.step])
        let prompts = prompts.read(byRefiner: isRefined)
            .at(step: scheduler.step(ofEvaluation: state.step))
        return .view(
            index,
            latent * inputScale(of: index, at: state),
            timestep: scheduler.timesteps[state.step],
            guidance: guidance,
            prompts: guidance > 1 ? prompts : prompts.unguided,
            timeIDs: timeIDs(crop: crop, isRefined: isRefined),
            // The refiner has no additional input channels.
            picture: isRefined ? nil : picture,
            imageGuidance: isRefined ? nil : imageGuidance,
            place: "phase \(state.phase + 1), step \(state.step + 1), \(what)"
        )
    }

    /// The factor that scales a view for the model.
    ///
    /// With `Border.zeros` we follow the authors' code. It reads the factor from the scheduler, which is still at the
    /// position of the last call: the step itself for the first view, one further for all others, and the end of the
    /// schedule at the start of a later phase.
    private func inputScale(of view: Int, at state: SamplerState) -> Float {
        let i = state.step
        guard plan.settings.border == .zeros, state.phase > 0, view > 0 || i == 0 else {
            return scheduler.inputScale(at: i)
        }
        let stale = view == 0 ? scheduler.timesteps.count : i + 1
        return stale < scheduler.timesteps.count ? scheduler.inputScale(at: stale) : 1
    }

    /// Takes one sampler step; after the last one, anchors the latent to phase 1's statistics.
    ///
    /// - Returns: whether this was the phase's last step
    func demoFusionStep(
        _ state: inout SamplerState,
        _ work: StepWork,
        prediction: Tensor,
        drawn: Tensor?
    ) -> Bool {
        let (constraint, picture) = (plan.phases[state.phase].constraint, state.picture)
        func constrained(_ x: Tensor) -> Tensor {
            guard let constraint, let picture else { return x }
            return constraint.apply(to: x, picture)
        }
        let prediction =
            picture == nil || constraint == nil
            ? prediction
            : scheduler.output(
                prediction,
                at: state.step,
                from: work.mixed,
                changingEstimate: constrained
            )
        state.latent = scheduler.step(
            prediction,
            at: state.step,
            from: work.mixed,
            history: &state.history,
            noise: drawn
        )
        state.step += 1
        guard state.step == scheduler.timesteps.count else {
            if let source = state.source, let picture = state.picture, state.mask != nil {
                let noised = scheduler.addNoise(picture, source.noise, at: state.step)
                state.latent = state.keepingPicture(state.latent, noised)
            }
            return false
        }
        if let anchor = state.anchor {
            state.latent = constrained(Fusion.anchor(state.latent, to: anchor))
            state.latent = state.keepingPicture(state.latent)
        } else {
            state.latent = state.keepingPicture(state.latent)
            state.anchor = state.latent
        }
        return true
    }

    /// Starts a phase: upsamples the latent to the phase's size and adds noise.
    package func open(
        _ state: inout SamplerState,
        _ noise: some NoiseSource,
        picture: PhasePicture?
    ) throws(InputError) {
        let phase = plan.phases[state.phase].phase
        let upsampled = Bicubic.resize(state.latent, to: phase.latent)
        let drawn = try noise.diffusion(of: phase, channels: channels)
        begin(&state, with: upsampled, drawn, picture: picture)
    }

    /// Adds noise to a clean latent, before the first step of a phase.
    func begin(
        _ state: inout SamplerState,
        with clean: Tensor,
        _ drawn: Tensor,
        picture: PhasePicture?
    ) {
        let phase = plan.phases[state.phase]
        state.mask = picture?.mask
        state.picture = phase.constraint == nil && state.mask == nil ? nil : picture?.latent
        let constrained = state.keepingPicture(
            state.picture.flatMap { phase.constraint?.apply(to: clean, $0) } ?? clean
        )
        state.source = (constrained, drawn)
        state.step = phase.steps.lowerBound
        state.latent = scheduler.addNoise(constrained, drawn, at: state.step)
        state.history = Scheduler.History()
    }
}
