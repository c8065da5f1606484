import Engine

/// A view that can be computed before the step that it belongs to begins.
package struct EarlyView: Sendable {
    /// Its number among the views of that step.
    package let index: Int
    package let unit: WorkUnit
}

/// The views of the next step that can be cut while the present one is being computed. Predictions in, views out.
///
/// A window needs the fused latent where it lies, and no more: the predictions of all windows that lie there too, and of all
/// lattices, since every window has pixels of each. From predictions to views, fusing, the sampler's step, the skip residual
/// and masks take every pixel by itself, so the code for a whole latent also makes a part of it, with the same bits. A
/// lattice needs everything: its latent is given the mean and deviation of the whole.
///
/// No bit depends on these views: the next step cuts its own from the whole latent, and takes the answers to those that were
/// computed already.
package struct EarlyViews: Sendable {
    private let sampler: Sampler
    /// Before the present step.
    private let state: SamplerState
    private let work: StepWork
    private let noise: any NoiseSource
    /// Of the next step.
    private let grid: WindowGrid
    /// What the network takes beside the latent.
    private let picture: Tensor?

    /// By view of the present step.
    private var predictions: [Tensor?]
    private var latticesLeft: Int
    /// The latent that the lattices predict, once all are there.
    private var dilated: Tensor?
    /// Made while workers compute: nil until the first prediction.
    private var next: NextStep?
    private var bytes = 0
    /// Of one view and its prediction, once there is one.
    private var viewBytes = 0

    /// What views of the next step are cut with.
    private struct NextStep {
        let windows: NextWindows
        /// Unit noise that the present step adds.
        let drawn: Tensor?
        /// By window: windows that lie there too, and have no prediction yet.
        var missing: [Int]
    }

    /// Bytes of early views and their predictions, which come on top of a step's own.
    package static let maxBytes = 1 << 30

    /// - Returns: nil where the next step needs the whole latent
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
        // The next step draws its windows again: this is a copy of the source.
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

    /// A view of the present step has been predicted.
    ///
    /// - Parameters:
    ///   - index: its number
    ///   - prediction: `[1, height, width, channels]`
    /// - Returns: the views of the next step that can be cut now, and could not before
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

    /// Takes the step in one window of the next one.
    private func view(of index: Int, _ next: NextStep) -> WorkUnit {
        let windows = next.windows
        let (window, region) = (windows.all[index], windows.region(index))
        let phase = sampler.plan.phases[state.phase]
        var average = WindowAverage(
            latent: Extent(height: region.rows.count, width: region.columns.count),
            channels: sampler.channels,
            weight: sampler.plan.settings.fusionWeight
        )
        // In the order of the plan, as for the whole latent.
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
    /// Whether windows of the step after this one can be cut before this one ends.
    fileprivate func overlaps(from step: Int) -> Bool {
        guard !isWhole else { return false }
        let isLast = step + 1 >= steps.upperBound
        // The inversion mixes noise on a sphere, and the constraint resamples: both take the whole latent.
        let needsAll = refinement != nil && step == 0 || constraint != nil
        return !isLast && !needsAll && usesWindows(at: step) && usesWindows(at: step + 1)
    }
}
