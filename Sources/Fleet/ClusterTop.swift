import Coordinator
import Engine
import Foundation
import Protocol

/// The data for `tessera cluster top`: what the coordinator of a cluster last published. Pure.
package struct ClusterTop: Equatable, Sendable, Encodable {
    package struct Row: Equatable, Sendable, Encodable {
        package var name: String
        package var state: String
        package var device: String
        package var precision: String
        /// Views and tiles per second over the last few seconds; nil if unknown.
        package var rate: Double?
        /// Temperature in degrees Celsius.
        package var temperature: Double?
        /// Free memory of its host, in bytes.
        package var freeMemory: Int?
        /// Bytes per second from it and to it.
        package var received: Double?
        package var sent: Double?
        package var views: Int
        package var tiles: Int?
        package var retries: Int?
        package var damaged: Int?
        /// Seconds since it was last heard from.
        package var lastSeen: Double
    }

    /// Whether a coordinator is running; otherwise all data is from the last one.
    package var isLive: Bool
    package var endpoint: String?
    package var process: Int32?
    /// What it is rendering and its progress, as published for other users of the host.
    package var work: String?
    package var unitsLeft: Int?
    package var rows: [Row] = []

    /// - Parameters:
    ///   - snapshot: what a coordinator last wrote; nil if none has
    ///   - isLive: whether that coordinator is running
    ///   - work: the coordinator's own description of its render
    ///   - now: seconds since 1970
    package init(
        _ snapshot: ClusterFolder.Snapshot?,
        isLive: Bool,
        work: String? = nil,
        at now: Double
    ) {
        self.isLive = isLive
        guard let snapshot else { return }
        (endpoint, process, self.work) = (snapshot.endpoint, snapshot.coordinator.id, work)
        unitsLeft = isLive ? snapshot.unitsLeft : nil
        rows = snapshot.workers.sorted { $0.name < $1.name }.map { worker in
            let more = worker.more
            return Row(
                name: worker.name,
                state: isLive ? Self.state(worker) : "no coordinator",
                device: TorchDevices.model(ofTitle: worker.device)
                    ?? "cpu, \(worker.threads) threads",
                precision: worker.precision,
                rate: isLive ? more?.rate : nil,
                temperature: more?.host?.temperature,
                freeMemory: more?.host?.available,
                received: isLive ? more?.received : nil,
                sent: isLive ? more?.sent : nil,
                views: worker.views,
                tiles: more?.tiles,
                retries: more?.retries,
                damaged: more?.damaged,
                lastSeen: max(0, now - worker.lastHeard)
            )
        }
    }

    /// Distinguishes a worker that answers slowly from one that is gone.
    static func state(_ worker: ClusterFolder.Snapshot.Worker) -> String {
        guard worker.isActive else { return "gone" }
        if let slowness = worker.more?.slowness {
            return "crawls (\(String(format: "%.1f", slowness))x)"
        }
        if worker.more?.isLate == true { return "late" }
        return (worker.more?.rate ?? 0) > 0 ? "works" : "idle"
    }

    /// A warning about a worker that is too slow; nil if it is not.
    package static func trouble(_ worker: ClusterFolder.Snapshot.Worker) -> String? {
        guard worker.isActive, let more = worker.more else { return nil }
        let heat = more.host?.temperature.map { String(format: ", %.0f °C", $0) } ?? ""
        if let slowness = more.slowness {
            return
                "\(worker.name) works but crawls: \(String(format: "%.1f", slowness)) times as slow as usual\(heat)"
        }
        return more.isLate ? "\(worker.name) is connected but late with its unit\(heat)" : nil
    }

    /// The table as lines, with columns as wide as necessary.
    package var lines: [String] {
        let active = rows.filter { $0.state != "gone" }
        let rate = active.compactMap(\.rate).reduce(0, +)
        let head =
            isLive
            ? "coordinator: process \(process ?? 0) at \(endpoint ?? "")"
                + (work.map { ", \($0)" } ?? "")
                + "; \(unitsLeft ?? 0) \(unitsLeft == 1 ? "unit" : "units") left, "
                + "\(active.count) workers, \(String(format: "%.1f", rate)) units/s"
            : "no coordinator of this cluster runs now"
                + (rows.isEmpty ? "" : "; below is the last one's")
        guard !rows.isEmpty else { return [head] }
        let titles = [
            "WORKER", "STATE", "DEVICE", "PRECISION", "UNITS/S", "TEMP", "FREE", "IN/S", "OUT/S",
            "VIEWS",
            "TILES", "RETRIES", "DAMAGED", "LAST SEEN",
        ]
        return [head] + TextTable.lines([titles] + rows.map(cells), rightAligned: Set(4...12))
    }

    private func cells(_ row: Row) -> [String] {
        func shown<Value>(_ value: Value?, _ text: (Value) -> String) -> String {
            value.map(text) ?? "–"
        }
        var cells = [row.name, row.state, row.device, row.precision]
        cells.append(shown(row.rate) { String(format: "%.1f", $0) })
        cells.append(shown(row.temperature) { String(format: "%.0f °C", $0) })
        cells.append(shown(row.freeMemory, ClusterVerdicts.size))
        cells.append(shown(row.received, Self.amount))
        cells.append(shown(row.sent, Self.amount))
        cells.append("\(row.views)")
        for count in [row.tiles, row.retries, row.damaged] {
            cells.append(shown(count) { "\($0)" })
        }
        return cells + [TextTable.ago(row.lastSeen)]
    }

    private static func amount(_ bytes: Double) -> String {
        switch bytes {
        case ..<1e3: String(format: "%.0f B", bytes)
        case ..<1e6: String(format: "%.1f kB", bytes / 1e3)
        default: String(format: "%.1f MB", bytes / 1e6)
        }
    }
}

extension ClusterFolder {
    /// What this cluster's coordinator last published. Contacts no host, worker or coordinator.
    package func top(at now: Double) -> ClusterTop {
        let snapshot = snapshot
        let isLive = snapshot?.coordinator.isAlive ?? false
        return ClusterTop(
            snapshot,
            isLive: isLive,
            work: isLive ? snapshot.flatMap(work) : nil,
            at: now
        )
    }

    /// What the coordinator of a snapshot says it is doing; nil if it says nothing.
    func work(of snapshot: Snapshot) -> String? {
        guard let endpoint = try? Endpoint(snapshot.endpoint, reach: .network),
            let note = EndpointUser.find(endpoint)?.note
        else { return nil }
        return note.work + (note.progress.map { ", \($0)" } ?? "")
    }
}
