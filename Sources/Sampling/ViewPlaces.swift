import Engine

/// Positions of a step's views in the latent, for showing them over the picture.
package struct ViewPlaces: Equatable, Sendable {
    /// Size of the latent.
    package let latent: Extent
    /// One position per view of the step.
    package let places: [Place]

    /// A view's position, in rows and columns of the latent.
    package enum Place: Equatable, Sendable {
        case window(top: Int, left: Int, height: Int, width: Int)
        /// Every nth row and column, starting at `row` and `column`.
        case lattice(row: Int, column: Int, rowStride: Int, columnStride: Int)
        case whole
    }

    package init(latent: Extent, places: [Place]) { (self.latent, self.places) = (latent, places) }
}

extension Sampler {
    /// The positions of a step's views.
    package func places(of work: StepWork, at state: SamplerState) -> ViewPlaces {
        let phase = plan.phases[state.phase]
        let latent = phase.phase.latent
        let count = work.views.count
        guard phase.windows != nil else {
            return ViewPlaces(latent: latent, places: Array(repeating: .whole, count: count))
        }
        // If windows are not used at this step, all views are lattices.
        let windows = phase.lattices == nil || phase.usesWindows(at: state.step) ? work.windows : []
        var places: [ViewPlaces.Place] = windows.prefix(count).map { window in
            let kept = window.kept(in: latent)
            return .window(
                top: kept.rows.lowerBound,
                left: kept.columns.lowerBound,
                height: kept.rows.count,
                width: kept.columns.count
            )
        }
        if let lattices = phase.lattices {
            for lattice in 0..<max(0, count - places.count) {
                let origin = lattices.origin(of: lattice)
                places.append(
                    .lattice(
                        row: origin.row,
                        column: origin.column,
                        rowStride: lattices.rowStride,
                        columnStride: lattices.columnStride
                    )
                )
            }
        }
        return ViewPlaces(latent: latent, places: places)
    }

    /// The estimate of the clean latent implied by a prediction.
    package func estimate(
        _ prediction: Tensor,
        of work: StepWork,
        at state: SamplerState
    ) -> CleanEstimate {
        let weights: (latent: Float, prediction: Float)
        if let stage = plan.phases[state.phase].refinement {
            // The first step adds noise to a clean latent.
            weights =
                state.step == 0 ? (1, 0) : stage.schedule.estimateWeights(at: state.step - 1)
        } else {
            weights = scheduler.estimateWeights(at: state.step)
        }
        return CleanEstimate(latent: work.mixed, prediction: prediction, weights: weights)
    }
}
