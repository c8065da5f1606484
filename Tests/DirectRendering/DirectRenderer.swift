import Engine
import Sampling

/// An autoencoder called directly, in this process; it counts the requested parts of pictures.
///
/// `@unchecked Sendable`: `UnitRenderer` asks for it, since a coordinator hands its renderer to the thread of a job. This
/// one never leaves the thread that made it: a tiled evaluation starts none and calls its renderer on its caller's, so
/// neither `vae` nor `parts` is ever shared.
package final class DirectRenderer: UnitByUnit, @unchecked Sendable {
    private let vae: VAE
    package private(set) var parts = 0

    private let forgetsTiles: Bool
    private var seen: Set<TileID> = []

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
        if part != nil { parts += 1 }
        if forgetsTiles { vae.forgetTiles() }
        let isKept = unit.tile.map(seen.contains) ?? false
        if let tile = unit.tile { seen.insert(tile) }
        return try vae.evaluate(
            half,
            isKept && !forgetsTiles ? .omitted : unit.input,
            as: part,
            attending: unit.embeddingDigests.compactMap { unit.embeddings[$0]?.context }
        )
    }
}
