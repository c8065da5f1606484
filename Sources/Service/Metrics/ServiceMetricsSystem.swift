import CoreMetrics

/// Where the process's metrics go.
package enum ServiceMetricsSystem {
    /// From now on they are collected for `/metrics`. Call once, before anything is counted.
    package static func start() { MetricsSystem.bootstrap(PrometheusRegistry.shared) }
}
