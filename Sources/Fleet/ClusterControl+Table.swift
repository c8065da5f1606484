import Coordinator
import Foundation
import Protocol

extension ClusterControl {
    func table(
        _ record: ClusterFolder.Record?,
        _ reports: [HostReport],
        hasCoordinator: Bool
    ) -> ClusterTable {
        let snapshot = folder.snapshot
        let isLive = !hasCoordinator && (snapshot?.coordinator.isAlive ?? false)
        let now = Date().timeIntervalSince1970
        let isRendering = isLive && snapshot?.isRendering == true
        var table = ClusterTable(rows: [])
        let names =
            plan.file.hosts.map(\.name)
            + (record?.hosts.map(\.name) ?? []).filter { name in
                !plan.file.hosts.contains { $0.name == name }
            }
        for name in names {
            let host = plan.file.hosts.first { $0.name == name }
            let recorded = record?.hosts.first { $0.name == name }
            let report = reports.first { $0.host == name }
            let seen = snapshot?.workers.filter { Self.belongs($0.name, to: name) } ?? []
            let expected = host.map { plan.names($0).count } ?? recorded?.workers.count ?? 0
            let active = Set(seen.filter(\.isActive).map(\.name))
            let rendering = isLive ? active.count : 0
            let running =
                report.flatMap { $0.task == .check ? Self.alive($0).count : nil }
                ?? recorded?.workers.count ?? 0
            // The last coordinator has heard from every worker that can join.
            let heard = isLive ? active : active.union(snapshot?.earlier ?? [])
            let alive = report.map(Self.runningWorkers) ?? []
            let stopped = alive.filter { report?.states[$0]?.isStopped == true }
            let absent = alive.filter { worker in
                guard let report, !stopped.contains(worker) else { return false }
                // A worker that had joined before may have been removed from the list since.
                if !active.contains(worker), Self.cannotJoin(worker, report) { return true }
                return snapshot != nil && !heard.contains(worker)
            }
            let present = max(rendering, running - absent.count - stopped.count)
            var row = ClusterTable.Row(
                host: name,
                state: Self.state(
                    report,
                    whenIdle: recorded != nil ? "gone" : isLive ? "not joined" : "down",
                    running: running,
                    joined: present,
                    stopped: stopped.count,
                    connected: rendering,
                    isRendering: isRendering
                ),
                workers: "\(present)/\(expected)"
            )
            if record != nil || isLive, host != nil, present < expected {
                table.missing.append("\(name) (\(row.state))")
            }
            if isLive { table.notes += seen.compactMap(ClusterTop.trouble) }
            for worker in absent {
                let words = report?.states[worker]?.text.map { ": \($0)" } ?? ""
                table.notes.append("\(worker) runs but has not joined\(words)")
            }
            for worker in stopped {
                let process = report?.process(of: worker).map { "\($0.id)" } ?? "PID"
                table.notes.append("\(worker) is stopped: kill -CONT \(process) there resumes it")
            }
            row.model = recorded?.model ?? host?.model ?? plan.common.model
            row.add(seen, now: now)
            row.cores = report?.cores ?? row.cores
            table.rows.append(row)
            if let failure = report?.failure { table.notes.append("host \(name): \(failure)") }
            for known in recorded?.workers ?? [] {
                guard let found = report?.states[known.name], !found.isAlive else { continue }
                let words = found.text.map { "; its last line: \($0)" } ?? ""
                table.notes.append("\(known.name) (process \(known.process.id)) is gone\(words)")
            }
        }
        let relay = isLive || hasCoordinator ? nil : plan.file.relay
        let others = OtherWorkers(
            members: (try? folder.joined.book())?.members ?? [],
            lastSeen: folder.seen,
            snapshot: isLive ? snapshot : nil,
            relayed: relay == nil ? [] : folder.present
        )
        table.rows += others.rows(besides: names, now: now)
        if isLive { table.notes += others.notes(besides: names) }
        if isLive, let snapshot {
            let work = folder.work(of: snapshot).map { ", \($0)" } ?? ""
            table.notes.append(
                "coordinator: process \(snapshot.coordinator.id) at \(snapshot.endpoint)\(work)"
            )
        } else if let relay {
            table.notes.append(
                "\(relay.description) listens here"
                    + (relay.note?.progress == nil ? ", and passes on what they compute" : "")
            )
        } else {
            table.notes.append(
                "no coordinator"
                    + (record.map { ": workers call \($0.endpoint) until one is there" } ?? "")
                    + (snapshot == nil ? "" : "; views/s and last seen are from the last render")
            )
        }
        return table
    }

    static func state(
        _ report: HostReport?,
        whenIdle: String,
        running: Int,
        joined: Int,
        stopped: Int,
        connected: Int,
        isRendering: Bool
    ) -> String {
        if connected > 0 { return connectedState(isRendering) }
        if report?.failure != nil { return "unreachable" }
        if running > 0, joined == 0 { return stopped > 0 ? "stopped" : "not joined" }
        if running > 0 { return "up" }
        return whenIdle
    }

    /// State of a host whose workers are connected to a coordinator.
    static func connectedState(_ isRendering: Bool) -> String {
        isRendering ? "rendering" : "joined"
    }

    /// Whether the last line of a worker's log says that it was refused or cannot connect.
    private static func cannotJoin(_ worker: String, _ report: HostReport) -> Bool {
        let line = report.states[worker]?.text ?? ""
        return line.hasPrefix("warning: ") || line.hasPrefix("error: ")
    }

    static func belongs(_ worker: String, to host: String) -> Bool {
        worker.hasPrefix("\(host)-") && Int(worker.dropFirst(host.count + 1)) != nil
    }
}
