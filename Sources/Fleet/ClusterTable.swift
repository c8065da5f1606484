import Coordinator
import Engine
import Foundation

/// The table of hosts that `tessera cluster` shows. Unknown values are shown as a dash.
package struct ClusterTable: Equatable, Sendable, Encodable {
    package struct Row: Equatable, Sendable, Encodable {
        package var host: String
        package var state: String
        /// Workers that are running or have joined, out of those expected.
        package var workers: String
        package var model: String?
        /// Cores of the host if its agent was asked, or else its workers' threads.
        package var cores: Int?
        package var precision: String?
        /// Devices of its workers: GPUs, or `cpu`.
        package var device: String?
        package var viewsPerSecond: Double?
        /// Seconds since the coordinator last received a message from one of its workers.
        package var lastSeen: Double?

        package init(host: String, state: String, workers: String) {
            (self.host, self.state, self.workers) = (host, state, workers)
        }
    }

    package var rows: [Row]
    /// Hosts with workers that were started but are not running or have not joined.
    package var missing: [String] = []
    /// Lines below the table.
    package var notes: [String] = []

    /// The error if hosts of the file are missing; nil otherwise.
    package func problem(file: String) -> ClusterUnavailable? {
        guard !missing.isEmpty else { return nil }
        return ClusterUnavailable(
            "\(file): \(missing.count) of \(rows.count) hosts "
                + "\(missing.count == 1 ? "lacks" : "lack") workers: \(missing.joined(separator: ", ")). "
                + "See the lines below the table; tessera cluster up starts workers that are gone"
        )
    }

    package init(rows: [Row], notes: [String] = []) {
        (self.rows, self.notes) = (rows, notes)
    }

    private static let head = [
        "HOST", "STATE", "WORKERS", "MODEL", "CORES", "PRECISION", "DEVICE", "VIEWS/S", "LAST SEEN",
    ]

    /// The table as lines, with columns as wide as necessary.
    package var lines: [String] {
        let cells =
            [Self.head]
            + rows.map { row in
                [
                    row.host, row.state, row.workers, row.model ?? "-",
                    row.cores.map(String.init) ?? "-", row.precision ?? "-", row.device ?? "-",
                    row.viewsPerSecond.map { String(format: "%.1f", $0) } ?? "-",
                    row.lastSeen.map(TextTable.ago) ?? "-",
                ]
            }
        return TextTable.lines(cells) + notes
    }
}

extension ClusterTable.Row {
    /// Adds a coordinator's data on the host's workers.
    ///
    /// - Parameters:
    ///   - workers: the workers of this host
    ///   - now: seconds since 1970
    mutating func add(_ workers: [ClusterFolder.Snapshot.Worker], now: Double) {
        guard !workers.isEmpty else { return }
        model = workers.map(\.model).last { !$0.isEmpty } ?? model
        precision = Set(workers.map(\.precision)).sorted().joined(separator: ",")
        let gpus = workers.map(\.device).filter { TorchDevices.model(ofTitle: $0) != nil }
        device = gpus.isEmpty ? "cpu" : Set(gpus).sorted().joined(separator: ",")
        let rates = workers.filter { $0.busy > 0 && $0.views > 0 }
            .map { Double($0.views) / $0.busy }
        if !rates.isEmpty { viewsPerSecond = rates.reduce(0, +) }
        cores = workers.filter(\.isActive).reduce(0) { $0 + $1.threads }
        if cores == 0 { cores = workers.last?.threads }
        lastSeen = workers.map { now - $0.lastHeard }.min()
    }
}
