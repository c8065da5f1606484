import Coordinator

/// The service's numbers in the text format of Prometheus. Pure.
struct ServiceMetrics {
    var jobs: [JobState: Int]
    /// Seconds that the oldest queued job has waited.
    var oldestWait: Double
    var renders: RenderCounters.Values
    var workers: [WorkerStatistics]
    /// By HTTP status.
    var answers: [Int: Int]
    var watchers: Int
    var freeBytes: Int?
    var isHeld: Bool

    var text: String {
        var lines: [String] = []
        func metric(
            _ name: String,
            _ type: String,
            _ help: String,
            _ values: [(labels: String, value: Double)]
        ) {
            lines.append("# HELP tessera_\(name) \(help)")
            lines.append("# TYPE tessera_\(name) \(type)")
            for (labels, value) in values {
                lines.append("tessera_\(name)\(labels.isEmpty ? "" : "{\(labels)}") \(value)")
            }
        }
        metric(
            "jobs",
            "gauge",
            "Jobs by state.",
            JobState.allCases.map { ("state=\"\($0.rawValue)\"", Double(jobs[$0] ?? 0)) }
        )
        metric(
            "queue_oldest_wait_seconds",
            "gauge",
            "How long the oldest queued job has waited.",
            [("", oldestWait)]
        )
        metric(
            "held",
            "gauge",
            "1 while rendering waits because of a failure that no job caused.",
            [("", isHeld ? 1 : 0)]
        )
        metric(
            "renders_total",
            "counter",
            "Renders that have ended.",
            [
                ("result=\"done\"", Double(renders.pictures)),
                ("result=\"failed\"", Double(renders.failures)),
            ]
        )
        metric(
            "render_seconds_total",
            "counter",
            "Time spent on finished pictures.",
            [("", renders.seconds)]
        )
        metric(
            "unet_calls_total",
            "counter",
            "UNet evaluations of finished pictures.",
            [("", Double(renders.evaluations))]
        )
        metric(
            "moved_bytes_total",
            "counter",
            "Bytes moved to and from workers for finished pictures.",
            [
                ("kind=\"latents\"", Double(renders.latentBytes)),
                ("kind=\"tiles\"", Double(renders.tileBytes)),
            ]
        )
        let named = workers.map { (label: "worker=\"\(Self.escaped($0.name))\"", worker: $0) }
        metric(
            "worker_active",
            "gauge",
            "1 while a worker gets work.",
            named.map { ($0.label, $0.worker.isActive ? 1 : 0) }
        )
        metric(
            "worker_views",
            "gauge",
            "Views that a worker has computed for the loaded model.",
            named.map { ($0.label, Double($0.worker.views)) }
        )
        metric(
            "worker_busy_seconds",
            "gauge",
            "Time that a worker has computed for the loaded model.",
            named.map { ($0.label, $0.worker.busy / .seconds(1)) }
        )
        metric(
            "http_responses_total",
            "counter",
            "Answers by status.",
            answers.sorted { $0.key < $1.key }.map { ("status=\"\($0.key)\"", Double($0.value)) }
        )
        metric("event_streams", "gauge", "Clients that watch events.", [("", Double(watchers))])
        if let freeBytes {
            metric(
                "disk_free_bytes",
                "gauge",
                "Free space of the data folder.",
                [("", Double(freeBytes))]
            )
        }
        return lines.joined(separator: "\n") + "\n"
    }

    /// A label's value: workers choose their names.
    static func escaped(_ text: String) -> String {
        text.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"")
            .replacing("\n", with: "\\n")
    }
}
