import Engine
import Sampling
import Synchronization

/// What renders of a series would otherwise load or compute again each time: the networks of phase 1 and encoded
/// prompts.
package final class SeriesMemory: Sendable {
    private struct Memory {
        var networks: (key: String, networks: any ModelNetworks)?
        /// The prompts used last, newest at the end.
        var prompts: [(key: String, prompts: Prompts)] = []
    }

    private let memory = Mutex(Memory())

    /// Maximum number of prompts that are kept: long ones take megabytes.
    private static let maxPrompts = 4

    package init() {}

    /// The networks of a model, created once.
    func networks(
        _ identity: ModelIdentity,
        _ options: EngineOptions,
        make: () -> any ModelNetworks
    ) -> any ModelNetworks {
        memory.withLock { memory in
            let key = "\(identity.digest) \(options)"
            if let known = memory.networks, known.key == key { return known.networks }
            let made = make()
            memory.networks = (key, made)
            return made
        }
    }

    /// Encoded prompts, computed unless they are among the last ones.
    ///
    /// - Parameters:
    ///   - key: everything that they depend on
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
