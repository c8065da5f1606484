import Engine
import Sampling
import Synchronization

/// What renders of a series would otherwise load or compute again each time: the networks of phase 1 and encoded
/// prompts.
package final class SeriesMemory: Sendable {
    private struct Memory {
        var networks: (key: String, networks: any ModelNetworks)?
        /// The prompts used last, the newest at the end.
        var prompts: [(key: String, prompts: Prompts)] = []
    }

    private let memory = Mutex(Memory())

    /// Prompts that are kept: those of long ones have megabytes.
    private static let maxPrompts = 4

    package init() {}

    /// The networks of a model, made once. They stay loaded between the renders.
    func networks(
        _ identity: ModelIdentity,
        _ options: EngineOptions,
        make: () -> any ModelNetworks
    ) -> any ModelNetworks {
        memory.withLock { memory in
            let key = "\(identity.digest) \(options)"
            if let known = memory.networks, known.key == key { return known.networks }
            let made = KeptNetworks(make())
            memory.networks = (key, made)
            return made
        }
    }

    /// Encoded prompts, computed where they are not among the last ones.
    ///
    /// - Parameters:
    ///   - key: everything that they follow from
    ///   - encode: computes them
    /// - Returns: the prompts
    /// - Throws: what `encode` throws
    func prompts(_ key: String, encode: () throws -> Prompts) throws -> Prompts {
        let known = memory.withLock { $0.prompts.first { $0.key == key }?.prompts }
        if let known { return known }
        let prompts = try encode()
        memory.withLock { memory in
            memory.prompts.append((key, prompts))
            if memory.prompts.count > Self.maxPrompts { memory.prompts.removeFirst() }
        }
        return prompts
    }

    func clear() { memory.withLock { $0 = Memory() } }
}

/// Networks that a render does not unload.
private final class KeptNetworks: ModelNetworks {
    private let networks: any ModelNetworks

    init(_ networks: any ModelNetworks) { self.networks = networks }

    var identity: ModelIdentity { networks.identity }
    var backend: String { networks.backend }
    var precision: String { networks.precision }
    var threads: Int { networks.threads }
    var batchRows: Int { networks.batchRows }

    func predict(
        _ latents: Tensor,
        timestep: Float,
        context: Tensor,
        pooled: Tensor?,
        timeIDs: [[Float]]?,
        guidance: Float,
        cancellation: Cancellation
    ) throws -> Tensor {
        try networks.predict(
            latents,
            timestep: timestep,
            context: context,
            pooled: pooled,
            timeIDs: timeIDs,
            guidance: guidance,
            cancellation: cancellation
        )
    }

    func evaluate(
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
