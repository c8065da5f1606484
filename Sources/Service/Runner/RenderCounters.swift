import Coordinator
import CoreMetrics

/// Counts what has been rendered since the service started.
package struct RenderCounters: Sendable {
    private let pictures = Counter(label: "tessera_renders_total", dimensions: [("result", "done")])
    private let failures = Counter(
        label: "tessera_renders_total",
        dimensions: [("result", "failed")]
    )
    private let seconds = FloatingPointCounter(label: "tessera_render_seconds_total")
    private let evaluations = Counter(label: "tessera_unet_calls_total")
    private let latents = Counter(
        label: "tessera_moved_bytes_total",
        dimensions: [("kind", "latents")]
    )
    private let tiles = Counter(label: "tessera_moved_bytes_total", dimensions: [("kind", "tiles")])

    package init() {}

    func add(_ outcome: RenderOutcome, seconds time: Double) {
        pictures.increment()
        seconds.increment(by: time)
        evaluations.increment(by: outcome.unetCalls)
        latents.increment(by: outcome.tally.viewBytes)
        tiles.increment(by: outcome.tally.decodeBytes + outcome.tally.encodeBytes)
    }

    func addFailure() { failures.increment() }
}
