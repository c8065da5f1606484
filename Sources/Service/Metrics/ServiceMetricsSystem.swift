import CoreMetrics

/// Sets up the metrics of this process.
package enum ServiceMetricsSystem {
    /// Starts collecting metrics for `/metrics`. Call once, before anything is counted.
    package static func start() { MetricsSystem.bootstrap(PrometheusRegistry.shared) }
}
