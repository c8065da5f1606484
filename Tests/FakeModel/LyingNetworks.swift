import Engine
import Synchronization

/// A model whose predictions are sometimes a little wrong: finite, and of the right shape.
package final class LyingNetworks: ModelNetworks {
    /// When it adds 0.01 to a prediction.
    package enum Manner: Sendable {
        case never
        case always
        /// Every so many evaluations.
        case every(Int)
        /// Where less noise is left than at this timestep.
        case below(timestep: Float)
    }

    private let networks: any ModelNetworks
    private let manner: Manner
    private let count = Atomic<Int>(0)
    private let lies = Atomic<Int>(0)

    package init(_ networks: any ModelNetworks, _ manner: Manner) {
        (self.networks, self.manner) = (networks, manner)
    }

    /// Wrong predictions so far.
    package var lieCount: Int { lies.load(ordering: .relaxed) }
    package var evaluationCount: Int { count.load(ordering: .relaxed) }

    package var identity: ModelIdentity { networks.identity }
    package var backend: String { networks.backend }
    package var precision: String { networks.precision }
    package var threads: Int { networks.threads }

    package func evaluation(
        of input: DenoiserInput,
        cancellation: Cancellation
    ) throws -> any DenoiserEvaluation {
        let own = try networks.evaluation(of: input, cancellation: cancellation)
        let number = count.add(1, ordering: .relaxed).newValue
        let isLie =
            switch manner {
            case .never: false
            case .always: true
            case .every(let each): number % each == 0
            case .below(let timestep): input.timestep < timestep
            }
        guard isLie else { return own }
        lies.add(1, ordering: .relaxed)
        return WholeEvaluation { try own.run().map { $0 + 0.01 } }
    }

    package func evaluate(
        _ half: AutoencoderHalf,
        _ input: Tensor,
        as part: PicturePart?,
        attending tokens: [Tensor],
        cancellation: Cancellation
    ) throws -> WorkResult {
        try networks.evaluate(
            half,
            input,
            as: part,
            attending: tokens,
            cancellation: cancellation
        )
    }
}
