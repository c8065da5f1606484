import Engine
import Logging

/// Workers that are kept for a series of renders: they are opened with the first one, and again only if a render needs
/// other weights.
///
/// Used by the thread that renders.
package final class SharedWorkers {
    private var held: (identity: ModelIdentity, workers: Rendering.Workers)?
    /// Networks of phase 1, and prompts, which are kept as well.
    package let memory = SeriesMemory()

    package init() {}

    /// Workers for a render of the series.
    ///
    /// - Parameter open: starts workers or waits for them
    /// - Returns: an opening that keeps them for the next render
    package func opening(_ open: @escaping Rendering.Opening) -> Rendering.Opening {
        { [self] session, identity, logger, cancellation in
            if let held, held.identity == identity { return kept(held.workers) }
            stop()
            let workers = try open(session, identity, logger, cancellation)
            held = (identity, workers)
            return kept(workers)
        }
    }

    /// The same workers for one render, which does not stop them.
    private func kept(_ workers: Rendering.Workers) -> Rendering.Workers {
        var kept = Rendering.Workers(
            cluster: workers.cluster,
            prepare: workers.prepare
        )
        (kept.note, kept.summary) = (workers.note, workers.summary)
        return kept
    }

    /// Stops the workers.
    package func stop() {
        held?.workers.stop()
        held = nil
        memory.clear()
    }

    deinit { stop() }
}
