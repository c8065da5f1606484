import Coordinator
import Engine
import Protocol

/// An autoencoder called directly, in this process; it counts the parts of pictures that it was asked for.
///
/// `@unchecked Sendable`: `ViewRenderer` asks for it, since a coordinator hands its renderer to the thread of a job. This
/// one never leaves the thread that made it: a tiled evaluation starts none and calls its renderer on its caller's, so
/// neither `vae` nor `parts` is ever shared.
package final class DirectRenderer: ViewRenderer, @unchecked Sendable {
    private let vae: VAE
    package private(set) var parts = 0

    private let forgetsTiles: Bool

    /// - Parameters:
    ///   - vae: evaluates parts
    ///   - forgetsTiles: before each part, as if it came to another worker
    package init(_ vae: VAE, forgetsTiles: Bool = false) {
        (self.vae, self.forgetsTiles) = (vae, forgetsTiles)
    }

    package func begin(_ job: JobDescription) {}
    package func end() {}

    /// Never asked for: a tiled evaluation has tiles and parts only.
    package func predict(_ views: [ViewRequest], onDone: (Int) throws -> Void) -> [Tensor] { [] }

    package func evaluate(
        _ tiles: [TileRequest],
        onDone: (Int) throws -> Void
    ) throws -> [Tensor] {
        try tiles.map {
            $0.half == .decoder ? try vae.decode($0.input) : try vae.latent(of: $0.input)
        }
    }

    package func evaluate(
        _ parts: [PartRequest],
        onDone: (Int) throws -> Void
    ) throws -> [PartResult] {
        try parts.map { request in
            self.parts += 1
            if forgetsTiles { vae.forgetTiles() }
            let keys = request.keys.digests.compactMap { request.keys.tensors[$0]?.context }
            return try vae.evaluate(
                request.network.half,
                request.input,
                as: request.part,
                keys: keys
            )
        }
    }
}
