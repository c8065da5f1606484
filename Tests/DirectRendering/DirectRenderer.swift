import Engine
import Sampling
import Synchronization

/// An autoencoder called directly, in this process; it counts the requested parts of pictures.
package final class DirectRenderer: UnitByUnit {
    /// `nonisolated(unsafe)`: `VAE` is not Sendable, but a tiled evaluation starts no threads and calls its renderer on
    /// the caller's thread, so only one thread uses it.
    nonisolated(unsafe) private let vae: VAE
    private let forgetsTiles: Bool
    private let counts = Mutex((parts: 0, seen: Set<TileID>()))

    package var parts: Int { counts.withLock { $0.parts } }

    /// - Parameters:
    ///   - vae: evaluates parts
    ///   - forgetsTiles: whether it forgets all tiles before each part, as if another worker received it
    package init(_ vae: VAE, forgetsTiles: Bool = false) {
        (self.vae, self.forgetsTiles) = (vae, forgetsTiles)
    }

    /// Never asked for views: a tiled evaluation has tiles only.
    package func result(of unit: WorkUnit, at place: Int) throws -> WorkResult {
        guard case .autoencode(let half, let part) = unit.work else {
            preconditionFailure("a view for an autoencoder")
        }
        if forgetsTiles { vae.forgetTiles() }
        let isKept = counts.withLock { counts in
            if part != nil { counts.parts += 1 }
            return unit.tile.map { !counts.seen.insert($0).inserted } ?? false
        }
        return try vae.evaluate(
            half,
            isKept && !forgetsTiles ? .omitted : unit.input,
            as: part,
            attending: unit.embeddingDigests.compactMap { unit.embeddings[$0]?.context }
        )
    }
}
