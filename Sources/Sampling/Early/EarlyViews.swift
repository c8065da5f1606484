import Engine

/// A view that can be computed before its step begins.
package struct EarlyView: Sendable {
    /// Index among the views of that step.
    package let index: Int
    package let unit: WorkUnit
}

/// The views of the next step that can be cut while the current one is still being computed. Predictions in, views out.
///
/// A window only needs the fused latent in its own area: the predictions of all windows that overlap it, and of all
/// lattices, since every window has pixels of each. Fusion, the sampler's step, the skip residual and masks work pixel
/// by pixel, so the code for the whole latent also computes a part of it, with bit-identical results. A lattice needs
/// the whole latent, because it is normalised to the mean and standard deviation of the whole.
///
/// The result does not depend on these views: the next step cuts its own views from the whole latent, and uses the
/// answers for those that were already computed.
package struct EarlyViews: Sendable {
    private let sampler: Sampler
    /// The state before the current step.
    private let state: SamplerState
    private let work: StepWork
    private let noise: any NoiseSource
    /// The window grid of the next step.
    private let grid: WindowGrid
    /// The network's additional input channels.
    private let picture: Tensor?

    /// Predictions by index of the current step's views.
    private var predictions: [Tensor?]
    private var latticesLeft: Int
    /// The lattices' prediction for the whole latent, once all lattices are there.
    private var dilated: Tensor?
    /// Prepared while workers compute: nil until the first prediction.
    private var next: NextStep?
    private var bytes = 0
    /// Bytes of one view and its prediction, once a view has been cut.
    private var viewBytes = 0

    /// What is needed to cut views of the next step.
    private struct NextStep {
        let windows: NextWindows
        /// Unit noise that the current step adds.
        let drawn: Tensor?
        /// For each window, the number of overlapping windows that have no prediction yet.
        var missing: [Int]
    }

    /// Limit on the bytes of early views and their predictions, in addition to those of the current step.
    package static let maxBytes = 1 << 30

    /// - Returns: nil if the next step needs the whole latent
    init?(
        _ sampler: Sampler,
        after work: StepWork,
        at state: SamplerState,
        picture: Tensor?,
        noise: some NoiseSource
    ) {
        let phase = sampler.plan.phases[state.phase]
        guard phase.overlaps(from: state.step), let grid = phase.windows(at: state.step + 1) else {
            return nil
        }
        (self.sampler, self.work, self.state, self.grid) = (sampler, work, state, grid)
        (self.picture, self.noise) = (picture, noise)
        predictions = Array(repeating: nil, count: work.views.count)
        latticesLeft = work.views.count - work.windows.count
    }

    private func nextStep() throws(InputError) -> NextStep {
        // The next step will draw its windows itself: this is a copy of the source.
        var noise = noise
        let phase = sampler.plan.phases[state.phase].phase
        let windows = NextWindows(
            try noise.windows(of: grid, phase: phase, step: state.step + 1),
            of: grid,
            after: work.windows
        )
        return NextStep(
            windows: windows,
            drawn: try sampler.stepNoise(state, noise),
            missing: windows.needed.map(\.count)
        )
    }

    /// Records the prediction of a view of the current step.
    ///
    /// - Parameters:
    ///   - index: index of the view
    ///   - prediction: `[1, height, width, channels]`
    /// - Returns: the views of the next step that can now be cut
    /// - Throws: `InputError` from the noise source
    package mutating func predicted(
        _ index: Int,
        _ prediction: Tensor
    ) throws(InputError) -> [EarlyView] {
        precondition(predictions[index] == nil, "view \(index) was predicted twice")
        predictions[index] = prediction
        var next = if let made = self.next { made } else { try nextStep() }
        self.next = nil
        defer { self.next = next }
        var candidates: [Int] = []
        if index < work.windows.count {
            candidates = next.windows.needing[index]
            for window in candidates { next.missing[window] -= 1 }
        } else {
            latticesLeft -= 1
            if latticesLeft == 0 {
                candidates = Array(next.missing.indices)
                dilated = sampler.dilated(
                    predictions[work.windows.count...].compactMap(\.self),
                    of: work,
                    at: state
                )
            }
        }
        guard latticesLeft == 0 else { return [] }
        var views: [EarlyView] = []
        for window in candidates where next.missing[window] == 0 {
            guard bytes + viewBytes <= Self.maxBytes else { break }
            let view = view(of: window, next)
            viewBytes = 2 * MemoryLayout<Float>.size * view.input.count
            bytes += viewBytes
            views.append(EarlyView(index: window, unit: view))
        }
        return views
    }

    /// Computes the current step within the area of one window of the next step, and cuts that window.
    private func view(of index: Int, _ next: NextStep) -> WorkUnit {
        let windows = next.windows
        let (window, region) = (windows.all[index], windows.region(index))
        let phase = sampler.plan.phases[state.phase]
        var average = WindowAverage(
            latent: Extent(height: region.rows.count, width: region.columns.count),
            channels: sampler.channels,
            weight: sampler.plan.settings.fusionWeight
        )
        // In plan order, as for the whole latent.
        for other in windows.needed[index] {
            guard let prediction = predictions[other] else {
                preconditionFailure("window \(other) has no prediction")
            }
            average.add(
                prediction,
                at: work.windows[other].moved(into: region, of: phase.phase.latent)
            )
        }
        var fused = average.mean()
        if let dilated {
            fused = Fusion.blend(
                fused,
                dilated.cropped(to: region),
                share: phase.weights[state.step].dilated
            )
        }
        var part = state.cropped(to: region)
        let step = StepWork(mixed: work.mixed.cropped(to: region), windows: [], views: [])
        _ = sampler.step(&part, step, prediction: fused, drawn: next.drawn?.cropped(to: region))
        return sampler.windowView(
            index,
            window,
            windows.grid,
            at: part,
            latent: sampler.mixed(part).framed(region, as: window),
            picture: picture?.cropped(to: region).framed(region, as: window)
        )
    }
}

extension RenderPlan.PhasePlan {
    /// Whether windows of the next step can be cut before this step ends.
    fileprivate func overlaps(from step: Int) -> Bool {
        guard !isWhole else { return false }
        let isLast = step + 1 >= steps.upperBound
        // The inversion mixes noise on a sphere, and the constraint resamples: both need the whole latent.
        let needsAll = refinement != nil && step == 0 || constraint != nil
        return !isLast && !needsAll && usesWindows(at: step) && usesWindows(at: step + 1)
    }
}
