import CoreMetrics
import Synchronization

/// Collects metrics recorded through swift-metrics, by us and by libraries, and writes them in Prometheus' text format.
///
/// Metrics are never removed: a counter that vanished and came back would look like a restart.
package final class PrometheusRegistry: MetricsFactory {
    /// The registry of this process, because swift-metrics has a single factory.
    package static let shared = PrometheusRegistry()

    private struct Key: Hashable, Comparable {
        let name: String
        /// Labels in the text format, without braces.
        let labels: String

        init(_ label: String, _ dimensions: [(String, String)]) {
            name = String(label.map { $0.isASCII && ($0.isLetter || $0.isNumber) ? $0 : "_" })
            labels = dimensions.map { "\($0)=\"\(ServiceMetrics.escaped($1))\"" }
                .joined(separator: ",")
        }

        static func < (a: Key, b: Key) -> Bool { (a.name, a.labels) < (b.name, b.labels) }
    }

    private let counters = Mutex<[Key: MetricValue]>([:])
    private let gauges = Mutex<[Key: MetricValue]>([:])
    private let histograms = Mutex<[Key: MetricHistogram]>([:])

    package init() {}

    package func makeCounter(label: String, dimensions: [(String, String)]) -> any CounterHandler {
        counter(label, dimensions)
    }

    package func makeFloatingPointCounter(
        label: String,
        dimensions: [(String, String)]
    ) -> any FloatingPointCounterHandler {
        counter(label, dimensions)
    }

    private func counter(_ label: String, _ dimensions: [(String, String)]) -> MetricValue {
        counters.withLock { Self.value(&$0, Key(label, dimensions), MetricValue()) }
    }

    package func makeMeter(label: String, dimensions: [(String, String)]) -> any MeterHandler {
        gauges.withLock { Self.value(&$0, Key(label, dimensions), MetricValue()) }
    }

    package func makeRecorder(
        label: String,
        dimensions: [(String, String)],
        aggregate: Bool
    ) -> any RecorderHandler {
        histogram(label, dimensions)
    }

    package func makeTimer(label: String, dimensions: [(String, String)]) -> any TimerHandler {
        histogram(label, dimensions)
    }

    private func histogram(_ label: String, _ dimensions: [(String, String)]) -> MetricHistogram {
        histograms.withLock { Self.value(&$0, Key(label, dimensions), MetricHistogram()) }
    }

    private static func value<Value>(
        _ values: inout [Key: Value],
        _ key: Key,
        _ new: @autoclosure () -> Value
    ) -> Value {
        if let known = values[key] { return known }
        let made = new()
        values[key] = made
        return made
    }

    package func destroyCounter(_ handler: any CounterHandler) {}
    package func destroyFloatingPointCounter(_ handler: any FloatingPointCounterHandler) {}
    package func destroyMeter(_ handler: any MeterHandler) {}
    package func destroyRecorder(_ handler: any RecorderHandler) {}
    package func destroyTimer(_ handler: any TimerHandler) {}

    /// Help texts by metric name.
    private static let help = [
        "tessera_renders_total": "Renders that have ended.",
        "tessera_render_seconds_total": "Time spent on finished pictures.",
        "tessera_unet_calls_total": "UNet evaluations of finished pictures.",
        "tessera_moved_bytes_total": "Bytes moved to and from workers for finished pictures.",
        "tessera_http_responses_total": "Answers by status.",
        "tessera_http_request_seconds": "Time until an answer began, by route.",
    ]

    /// All metrics in the text format.
    package var text: String {
        var lines: [String] = []
        var last = ""
        func begin(_ key: Key, _ type: String) {
            guard key.name != last else { return }
            last = key.name
            if let help = Self.help[key.name] { lines.append("# HELP \(key.name) \(help)") }
            lines.append("# TYPE \(key.name) \(type)")
        }
        func add(_ name: String, _ labels: String, _ value: Double) {
            lines.append("\(name)\(labels.isEmpty ? "" : "{\(labels)}") \(value)")
        }
        for (kind, values) in [
            ("counter", counters.withLock { $0 }), ("gauge", gauges.withLock { $0 }),
        ] {
            for (key, value) in values.sorted(by: { $0.key < $1.key }) {
                begin(key, kind)
                add(key.name, key.labels, value.number)
            }
        }
        for (key, histogram) in histograms.withLock({ $0 }).sorted(by: { $0.key < $1.key }) {
            begin(key, "histogram")
            let (counts, sum) = histogram.values
            let comma = key.labels.isEmpty ? "" : "\(key.labels),"
            for (bound, count) in counts {
                add("\(key.name)_bucket", "\(comma)le=\"\(bound)\"", count)
            }
            add("\(key.name)_sum", key.labels, sum)
            add("\(key.name)_count", key.labels, counts.last?.count ?? 0)
        }
        return lines.joined(separator: "\n") + (lines.isEmpty ? "" : "\n")
    }
}

/// A counter or a gauge.
final class MetricValue: CounterHandler, FloatingPointCounterHandler, MeterHandler {
    private let value = Mutex(0.0)

    var number: Double { value.withLock { $0 } }

    func increment(by amount: Int64) { increment(by: Double(amount)) }
    func increment(by amount: Double) { value.withLock { $0 += amount } }
    func decrement(by amount: Double) { value.withLock { $0 -= amount } }
    func set(_ value: Int64) { set(Double(value)) }
    func set(_ value: Double) { self.value.withLock { $0 = value } }
    func reset() { set(0.0) }
}

/// A histogram; times are in seconds.
final class MetricHistogram: RecorderHandler, TimerHandler {
    /// Upper bounds of the buckets, for times from a millisecond to ten minutes.
    private static let bounds = [
        0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60, 600,
    ]

    private struct State {
        var counts = [Int](repeating: 0, count: MetricHistogram.bounds.count + 1)
        var sum = 0.0
    }

    private let state = Mutex(State())

    func record(_ value: Int64) { record(Double(value)) }
    func record(_ value: Double) {
        let place = Self.bounds.firstIndex { value <= $0 } ?? Self.bounds.count
        state.withLock { state in
            state.counts[place] += 1
            state.sum += value
        }
    }
    func recordNanoseconds(_ duration: Int64) { record(Double(duration) / 1e9) }

    /// Cumulative count for each upper bound, and the sum of all values.
    var values: (counts: [(bound: String, count: Double)], sum: Double) {
        let state = state.withLock { $0 }
        var total = 0
        var counts: [(bound: String, count: Double)] = []
        for (bound, count) in zip(Self.bounds.map { "\($0)" } + ["+Inf"], state.counts) {
            total += count
            counts.append((bound, Double(total)))
        }
        return (counts, state.sum)
    }
}
