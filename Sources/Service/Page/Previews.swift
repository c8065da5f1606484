import Engine
import Foundation
import Sampling
import Synchronization

/// Small pictures of renders in progress: each step's estimate of the clean latent, in rough colours.
///
/// The render thread only copies a few thousand numbers, and only when somebody looks; colours are computed and the
/// file is written by whoever asks.
package final class Previews: Sendable {
    private struct Entry {
        let model: String
        /// Of the last estimate that was taken, `[1, rows, columns, channels]`.
        var latent: Tensor?
        /// Counts estimates; which one each file has, by its path.
        var version = 0
        var written: [String: Int] = [:]
        /// Whether somebody has asked since.
        var isWanted = true
        /// Of the present step's views.
        var places: ViewPlaces?
        /// Of the last finished phase, for a fit of colours.
        var finished: Tensor?
    }

    private struct State {
        var entries: [String: Entry] = [:]
        /// By the model's name.
        var colours: [String: LatentColours] = [:]
        /// The scaling factors of VAEs, by the model's name.
        var scales: [String: Float] = [:]
    }

    private let state = Mutex(State())

    /// Pixels of the longer side, of latents.
    static let longest = 256

    package init() {}

    /// A render begins.
    func begin(model: String, scale: Float) { state.withLock { $0.scales[model] = scale } }

    /// A render goes on; called on its thread.
    package func take(_ event: RenderEvent, of id: String, model: String) {
        switch event {
        case .predicted(let estimate):
            let isWanted = state.withLock { state in
                state.entries[id, default: Entry(model: model)].isWanted
            }
            guard isWanted else { return }
            let latent = estimate.sampled(longest: Self.longest)
            state.withLock { state in
                state.entries[id]?.latent = latent
                state.entries[id]?.version += 1
                state.entries[id]?.isWanted = false
            }
        case .places(let places):
            state.withLock { $0.entries[id, default: Entry(model: model)].places = places }
        case .encoding, .enlarging, .decoding: state.withLock { $0.entries[id]?.places = nil }
        case .finished(_, let latent):
            let small = latent.sampled(longest: LatentSamples.side)
            state.withLock { $0.entries[id, default: Entry(model: model)].finished = small }
        default: break
        }
    }

    /// Nothing more comes of a render.
    ///
    /// - Parameters:
    ///   - id: of the job
    ///   - isDone: whether its picture is there; then the latent is kept for `learn`
    package func end(_ id: String, isDone: Bool) {
        state.withLock { state in
            guard isDone else {
                state.entries[id] = nil
                return
            }
            if state.entries.count >= Self.maxKept {
                // Those of pictures that were never cut into tiles.
                state.entries = state.entries.filter { $0.value.latent != nil }
            }
            state.entries[id]?.latent = nil
        }
    }

    private static let maxKept = 32

    /// Where the views of a render's present step lie, nil where it has none; and the number of its estimates so far.
    func present(of id: String) -> (places: ViewPlaces?, estimate: Int) {
        state.withLock { ($0.entries[id]?.places, $0.entries[id]?.version ?? 0) }
    }

    /// Fits a model's colours to a picture of a job that has ended.
    ///
    /// - Parameters:
    ///   - id: of the job
    ///   - path: of a small copy of its picture
    func learn(_ id: String, from path: String) {
        let entry = state.withLock { $0.entries.removeValue(forKey: id) }
        guard let entry, let latent = entry.finished,
            let colours = try? LatentSamples.fit(latent, to: PictureFile(path))
        else { return }
        state.withLock { $0.colours[entry.model] = colours }
    }

    /// Writes the present picture of a render, unless the file has it already.
    ///
    /// - Parameters:
    ///   - id: of the job
    ///   - path: of a JPEG, or of a PNG if it ends so
    /// - Returns: whether there is one; that of an earlier process serves until the first estimate of a resumed render
    /// - Throws: `OutputError`
    func write(_ id: String, to path: String) throws -> Bool {
        let (entry, known, scale) = state.withLock { state -> (Entry?, LatentColours?, Float?) in
            let entry = state.entries[id]
            state.entries[id]?.isWanted = true
            state.entries[id]?.written[path] = entry?.version ?? 0
            let model = entry?.model ?? ""
            return (entry, state.colours[model], state.scales[model])
        }
        guard let entry, let latent = entry.latent else { return FileKind(path) == .regular }
        guard entry.written[path] != entry.version || FileKind(path) == nil else { return true }
        let channels = latent.shape[3]
        let colours =
            (known?.channels == channels ? known : nil)
            ?? LatentColours.shipped(entry.model, channels: channels)
            ?? scale.flatMap { LatentColours.published(scale: $0, channels: channels) }
            ?? LatentColours.guess(latent)
        let (width, height) = (latent.shape[2], latent.shape[1])
        let writer: any PictureWriter =
            path.hasSuffix(".png")
            ? try PNGWriter(file: path, width: width, height: height)
            : try JPEGWriter(file: path, width: width, height: height, quality: 92)
        try writer.write(rows: colours.bytes(latent))
        try writer.finish()
        return true
    }
}
