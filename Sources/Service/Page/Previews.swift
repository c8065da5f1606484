import Engine
import Foundation
import Sampling
import Synchronization

/// Small preview pictures of renders in progress: each step's estimate of the clean latent, in approximate colours.
///
/// The render thread only copies a few thousand numbers, and only while somebody is watching; whoever requests a
/// preview computes the colours and writes the file.
package final class Previews: Sendable {
    private struct Entry {
        let model: String
        /// The last estimate, downsampled, `[1, rows, columns, channels]`.
        var latent: Tensor?
        /// Number of estimates, and the one that each file contains, by path.
        var version = 0
        var written: [String: Int] = [:]
        /// Whether a preview was requested since the last estimate.
        var isWanted = true
        /// Positions of the current step's views.
        var places: ViewPlaces?
        /// Latent of the last finished phase, downsampled, for fitting colours.
        var finished: Tensor?
    }

    private struct State {
        var entries: [String: Entry] = [:]
        /// Fitted colour maps by model name.
        var colours: [String: LatentColours] = [:]
        /// Scaling factors of VAEs by model name.
        var scales: [String: Float] = [:]
    }

    private let state = Mutex(State())

    /// Maximum latent pixels of the longer side.
    static let longest = 256

    package init() {}

    /// Called when a render begins.
    func begin(model: String, scale: Float) { state.withLock { $0.scales[model] = scale } }

    /// Called with each event of a render, on the render thread.
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

    /// Called when a render has ended.
    ///
    /// - Parameters:
    ///   - id: id of the job
    ///   - isDone: whether the picture is finished; if so, the latent is kept for `learn`
    package func end(_ id: String, isDone: Bool) {
        state.withLock { state in
            guard isDone else {
                state.entries[id] = nil
                return
            }
            if state.entries.count >= Self.maxKept {
                // Drop the entries of pictures that were never cut into tiles.
                state.entries = state.entries.filter { $0.value.latent != nil }
            }
            state.entries[id]?.latent = nil
        }
    }

    private static let maxKept = 32

    /// Positions of the views in a render's current step, nil if there are none, and the number of its estimates so
    /// far.
    func present(of id: String) -> (places: ViewPlaces?, estimate: Int) {
        state.withLock { ($0.entries[id]?.places, $0.entries[id]?.version ?? 0) }
    }

    /// Fits a model's colour map to the picture of a finished job.
    ///
    /// - Parameters:
    ///   - id: id of the job
    ///   - path: path of a small copy of its picture
    func learn(_ id: String, from path: String) {
        let entry = state.withLock { $0.entries.removeValue(forKey: id) }
        guard let entry, let latent = entry.finished,
            let colours = try? LatentSamples.fit(latent, to: PictureFile(path))
        else { return }
        state.withLock { $0.colours[entry.model] = colours }
    }

    /// Writes the current preview of a render, unless the file is up to date.
    ///
    /// - Parameters:
    ///   - id: id of the job
    ///   - path: path of a JPEG file, or of a PNG file if it has that extension
    /// - Returns: whether there is a preview; before the first estimate of a resumed render, one by an earlier process
    ///   counts
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
