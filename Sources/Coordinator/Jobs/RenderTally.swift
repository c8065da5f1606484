import Engine
import Sampling
import Synchronization

/// What a render has requested from its workers.
package struct RenderTally: Equatable, Sendable {
    package var views = 0
    /// UNet evaluations at batch size 1.
    package var evaluations = 0
    /// Bytes of latents and predictions in both directions; each view and tile counts once, however often it is sent.
    package var viewBytes = 0
    /// Bytes of decoded latents and of their pixels and tokens, counted likewise.
    package var decodeBytes = 0
    /// Bytes of encoded pictures, counted likewise.
    package var encodeBytes = 0

    fileprivate mutating func add(_ bytes: Int, of half: AutoencoderHalf) {
        switch half {
        case .decoder: decodeBytes += bytes
        case .encoder: encodeBytes += bytes
        }
    }
}

extension WorkUnit {
    /// Whether it is the first evaluation of its tile.
    fileprivate var isFirstOfTile: Bool {
        guard case .autoencode(_, let part?) = work else { return false }
        return part.statistics.isEmpty
    }
}

/// Forwards all calls, and counts them.
package final class CountingRenderer: UnitRenderer {
    private let renderer: any UnitRenderer
    private let wire: WireFormat
    private let state = Mutex(RenderTally())

    /// - Parameters:
    ///   - renderer: does the work
    ///   - wire: precision in which tensors are sent
    package init(_ renderer: any UnitRenderer, wire: WireFormat) {
        (self.renderer, self.wire) = (renderer, wire)
    }

    package var tally: RenderTally { state.withLock { $0 } }

    package func evaluate(
        _ units: [WorkUnit],
        early: inout EarlyViews?,
        onDone: (Int) throws -> Void
    ) throws -> [WorkResult] {
        let results = try renderer.evaluate(units, early: &early, onDone: onDone)
        state.withLock { tally in
            for (unit, result) in Swift.zip(units, results) {
                // After its first evaluation a tile stays with its worker.
                let isKept = unit.tile != nil && !unit.isFirstOfTile
                let input = isKept ? 0 : unit.input.count
                let bytes = (input + (result.tensor?.count ?? 0)) * wire.size
                switch unit.work {
                case .predict(let view):
                    tally.views += 1
                    tally.evaluations += view.conditioning.count
                    tally.viewBytes += bytes
                case .autoencode(let half, _): tally.add(bytes, of: half)
                }
            }
        }
        return results
    }
}
