import Engine
import Synchronization

/// A model whose answers are sometimes a little wrong: finite, and of the right shape.
package final class LyingNetworks: ModelNetworks {
    /// When it adds 0.01 to a prediction, or to what it decodes and encodes.
    package enum Manner: Sendable {
        case never
        case always
        /// Every so many evaluations.
        case every(Int)
        /// Where less noise is left than at this timestep.
        case below(timestep: Float)
        /// Predictions are right, and every so many answers of this half of the autoencoder are wrong: statistics, tokens
        /// and pictures alike.
        case autoencoder(AutoencoderHalf, every: Int)
        /// In one evaluation, counted from 1.
        case once(Int)

        /// Reads "always", "every:10", "once:200" or "below:300".
        package init?(_ text: String) {
            let parts = text.split(separator: ":")
            switch (parts.first, parts.count > 1 ? Int(parts[1]) : nil) {
            case ("always", nil): self = .always
            case ("every", let count?) where count > 0: self = .every(count)
            case ("once", let number?): self = .once(number)
            case ("below", let timestep?): self = .below(timestep: Float(timestep))
            default: return nil
            }
        }
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
            case .never, .autoencoder: false
            case .always: true
            case .every(let each): number % each == 0
            case .once(let one): number == one
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
        let own = try networks.evaluate(
            half,
            input,
            as: part,
            attending: tokens,
            cancellation: cancellation
        )
        guard case .autoencoder(half, let each) = manner,
            count.add(1, ordering: .relaxed).newValue % each == 0
        else { return own }
        lies.add(1, ordering: .relaxed)
        return WorkResult(
            tensor: own.tensor?.map { $0 + 0.01 },
            statistics: own.statistics.map { Moments(mean: $0.mean + 0.01, variance: $0.variance) }
        )
    }
}
