import CoreMetrics
import Service
import Testing

/// What is recorded through swift-metrics, for Prometheus.
@Suite struct MetricsTests {
    @Test func writesWhatIsRecorded() {
        let registry = PrometheusRegistry()
        let counter = Counter(label: "a.total", dimensions: [("k", "x\"y\n")], factory: registry)
        counter.increment(by: 3)
        // Making the same metric again continues it.
        Counter(label: "a.total", dimensions: [("k", "x\"y\n")], factory: registry).increment()
        FloatingPointCounter(label: "b", factory: registry).increment(by: 0.5)
        Meter(label: "c", factory: registry).set(7)
        let timer = Timer(label: "d", dimensions: [("r", "/x")], factory: registry)
        for milliseconds in [1, 3, 400_000, 10_000_000] { timer.recordMilliseconds(milliseconds) }
        let lines = Set(registry.text.split(separator: "\n").map(String.init))
        for line in [
            "# TYPE a_total counter", #"a_total{k="x\"y\n"} 4.0"#, "b 0.5", "# TYPE c gauge",
            "c 7.0",
            "# TYPE d histogram", #"d_bucket{r="/x",le="0.001"} 1.0"#,
            #"d_bucket{r="/x",le="0.005"} 2.0"#, #"d_bucket{r="/x",le="60.0"} 2.0"#,
            #"d_bucket{r="/x",le="600.0"} 3.0"#, #"d_bucket{r="/x",le="+Inf"} 4.0"#,
            #"d_sum{r="/x"} 10400.004"#, #"d_count{r="/x"} 4.0"#,
        ] { #expect(lines.contains(line), "\(line) in \(registry.text)") }
    }

    @Test(arguments: [
        (
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "4bf92f3577b34da6a3ce929d0e0e4736"
        ),
        ("00-00000000000000000000000000000000-00f067aa0ba902b7-01", nil), ("", nil),
        ("00-x-y-01", nil),
        ("00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01", nil),
    ])
    func readsTraces(header: String, id: String?) { #expect(TraceParent.id(header) == id) }
}
