import Coordinator

/// The current state of the service in Prometheus' text format. Pure. Events are counted through swift-metrics
/// (`PrometheusRegistry`).
struct ServiceMetrics {
    var jobs: [JobState: Int]
    /// Seconds since the oldest queued job was submitted.
    var oldestWait: Double
    var workers: [WorkerStatistics]
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

    /// A label value, escaped because workers choose their names.
    static func escaped(_ text: String) -> String {
        text.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"")
            .replacing("\n", with: "\\n")
    }
}
