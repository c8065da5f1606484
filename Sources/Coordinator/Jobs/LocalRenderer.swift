import Engine
import Sampling

/// Evaluates units in this process, with the same results as a cluster's workers: inputs and results are rounded as
/// they would be on the wire. The coordinator renders phase 1 with it.
package final class LocalRenderer: UnitRenderer {
    package let evaluator: Evaluator
    private let wire: WireFormat
    private let cancellation: Cancellation
    private let isShared: Bool

    /// - Parameters:
    ///   - evaluator: evaluates units; loads networks only when they are needed
    ///   - wire: format in which tensors would be sent
    ///   - isShared: whether other renders use the same networks, which then stay loaded
    ///   - cancellation: cancels the running evaluation and all later ones
    package init(
        _ evaluator: Evaluator,
        wire: WireFormat = .f32,
        isShared: Bool = false,
        cancellation: Cancellation = Cancellation()
    ) {
        (self.evaluator, self.wire, self.cancellation) = (evaluator, wire, cancellation)
        self.isShared = isShared
    }

    /// Frees the memory of networks that this render no longer needs.
    func release() {
        if !isShared { evaluator.networks.unload() }
    }

    package func evaluate(
        _ units: [WorkUnit],
        early: inout EarlyViews?,
        onDone: (Int) throws -> Void
    ) throws -> [WorkResult] {
        let received = units.map { unit in
            var unit = unit
            unit.input = wire.carried(unit.input)
            return unit
        }
        let computed: [WorkResult]
        do {
            computed = try evaluator.evaluate(received, cancellation: cancellation)
        } catch is ComputationCancelled {
            throw RenderCancelled()
        }
        return try zip(units, computed).enumerated().map { place, pair in
            let result = WorkResult(
                tensor: pair.1.tensor.map(wire.carried),
                statistics: pair.1.statistics
            )
            guard result.isFinite else {
                throw UnitFailed(
                    unit: pair.0.name,
                    reasons: ["the coordinator's answer holds NaN or infinity"]
                )
            }
            try onDone(place)
            return result
        }
    }
}
