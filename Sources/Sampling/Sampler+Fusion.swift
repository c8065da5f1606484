import Engine

extension Sampler {
    /// The fused prediction for the whole latent: (1 − c^a₂)·ε_local + c^a₂·ε_dilated, or just one of the two if only
    /// that one is evaluated at this step.
    package func fuse(_ predictions: [Tensor], of work: StepWork, at state: SamplerState) -> Tensor
    {
        precondition(predictions.count == work.views.count, "\(predictions.count) predictions")
        let phase = plan.phases[state.phase]
        guard phase.windows != nil else { return predictions[0] }
        let i = state.step
        guard let lattices = phase.lattices, phase.usesLattices(at: i) else {
            return windowMean(predictions[...], work.windows, of: phase)
        }
        guard phase.usesWindows(at: i) else {
            return scatter(predictions[...], lattices, shape: work.mixed.shape)
        }
        let locals = work.windows.count
        return Fusion.blend(
            windowMean(predictions[..<locals], work.windows, of: phase),
            scatter(predictions[locals...], lattices, shape: work.mixed.shape),
            share: phase.weights[i].dilated
        )
    }

    /// The lattices' prediction for the whole latent; nil if the phase has no lattices.
    func dilated(
        _ predictions: [Tensor],
        of work: StepWork,
        at state: SamplerState
    ) -> Tensor? {
        plan.phases[state.phase].lattices.map {
            scatter(predictions[...], $0, shape: work.mixed.shape)
        }
    }

    /// The weighted mean of the predictions of overlapping windows.
    private func windowMean(
        _ predictions: ArraySlice<Tensor>,
        _ windows: [Window],
        of phase: RenderPlan.PhasePlan
    ) -> Tensor {
        var average = WindowAverage(
            latent: phase.phase.latent,
            channels: channels,
            weight: plan.settings.fusionWeight
        )
        for (window, prediction) in zip(windows, predictions) {
            average.add(prediction, at: window)
        }
        return average.mean()
    }

    /// Reassembles a prediction for the whole latent from those of its sub-lattices.
    private func scatter(
        _ predictions: ArraySlice<Tensor>,
        _ lattices: LatticeGrid,
        shape: [Int]
    ) -> Tensor {
        var latent = Tensor(zeros: shape)
        for (lattice, prediction) in predictions.enumerated() {
            lattices.scatter(lattice, prediction, into: &latent)
        }
        return latent
    }
}
