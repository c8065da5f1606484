import Engine
import Protocol
import Synchronization

/// What a render has asked of its workers.
package struct RenderTally: Equatable, Sendable {
    package var views = 0
    /// UNet evaluations of one picture each.
    package var evaluations = 0
    /// Bytes of latents and predictions, there and back; each view counts once, however often it is
    /// sent.
    package var viewBytes = 0
    /// The same of latents that are decoded, their pixels and tokens.
    package var decodeBytes = 0
    /// The same of pictures that are encoded.
    package var encodeBytes = 0

    fileprivate mutating func add(_ bytes: Int, of half: AutoencoderHalf) {
        switch half {
        case .decoder: decodeBytes += bytes
        case .encoder: encodeBytes += bytes
        }
    }
}

/// Passes everything on, and counts it.
package final class CountingRenderer: ViewRenderer {
    private struct State {
        var tally = RenderTally()
        var evaluationsPerView = 1
        var wire = WireFormat.f32
    }

    private let renderer: any ViewRenderer
    private let state = Mutex(State())

    package init(_ renderer: any ViewRenderer) { self.renderer = renderer }

    package var tally: RenderTally { state.withLock { $0.tally } }

    package func begin(_ job: JobDescription) throws {
        state.withLock { state in
            state.evaluationsPerView = job.negative == nil ? 1 : 2
            state.wire = job.wire
        }
        try renderer.begin(job)
    }

    package func predict(
        _ views: [ViewRequest],
        onDone: (Int) throws -> Void
    ) throws -> [Tensor] {
        let answers = try renderer.predict(views, onDone: onDone)
        state.withLock { state in
            for (view, answer) in Swift.zip(views, answers) {
                state.tally.evaluations += view.branch == .both ? state.evaluationsPerView : 1
                state.tally.viewBytes += (view.latent.count + answer.count) * state.wire.size
            }
            state.tally.views += views.count
        }
        return answers
    }

    package func evaluate(
        _ tiles: [TileRequest],
        onDone: (Int) throws -> Void
    ) throws -> [Tensor] {
        let answers = try renderer.evaluate(tiles, onDone: onDone)
        state.withLock { state in
            for (tile, answer) in Swift.zip(tiles, answers) {
                let numbers = tile.input.count + answer.count
                state.tally.add(numbers * state.wire.size, of: tile.half)
            }
        }
        return answers
    }

    package func evaluate(
        _ parts: [PartRequest],
        onDone: (Int) throws -> Void
    ) throws -> [PartResult] {
        let answers = try renderer.evaluate(parts, onDone: onDone)
        state.withLock { state in
            for (part, answer) in Swift.zip(parts, answers) {
                let numbers = part.input.count + (answer.tensor?.count ?? 0)
                state.tally.add(numbers * state.wire.size, of: part.network.half)
            }
        }
        return answers
    }

    package func end() { renderer.end() }
}
