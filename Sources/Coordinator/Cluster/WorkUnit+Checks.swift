import Engine
import Sampling

// What the coordinator knows about a unit before and after it is computed.

extension WorkUnit {
    /// The dispatcher's kind for this work.
    var kind: DispatcherState.Kind {
        guard case .predict = work else { return .tiles }
        return .views
    }

    /// What is wrong with a result; nil for a good one.
    func fault(of result: WorkResult, _ model: ModelGeometry) -> String? {
        let (shape, count) = expected(model)
        guard result.tensor?.shape == shape else {
            let found = result.tensor.map { "\($0.shape)" } ?? "no tensor"
            return "its answer is \(found), not \(shape.map { "\($0)" } ?? "statistics alone")"
        }
        guard result.statistics.count == count else {
            return "its answer has \(result.statistics.count) statistics, not \(count)"
        }
        return bounds.fault(of: result)
    }

    /// Bounds on the values of its result.
    private var bounds: AnswerBounds {
        guard case .predict(let view) = work else { return AnswerBounds(evaluating: input) }
        return AnswerBounds(
            predicting: input,
            guidance: view.gain
        )
    }

    /// Expected shape of the result's tensor, nil for none, and the number of its statistics.
    private func expected(_ model: ModelGeometry) -> (shape: [Int]?, statistics: Int) {
        let shape = input.shape
        if case .predict(let view) = work {
            return (shape.dropLast() + [shape[3] - view.pictureChannels], 0)
        }
        guard case .autoencode(let half, let part) = work else { return (nil, 0) }
        let factor = model.vaeFactor
        let unit = half == .encoder ? factor : 1
        let core = (part?.margins ?? .none)
            .core(height: shape[1] / unit, width: shape[2] / unit)
        let (height, width) = (core.rows.count, core.columns.count)
        guard let part, part.norm > 0 else {
            switch half {
            case .decoder: return ([shape[0], height * factor, width * factor, 3], 0)
            case .encoder: return ([shape[0], height, width, model.latentChannels], 0)
            }
        }
        let network = model.network(half)
        let tokens = part.tokens.map { lattice in
            let places = lattice.places(height: height, width: width)
            return [1, places.rows.count, places.columns.count, network.width]
        }
        return (tokens, network.groups)
    }
}
