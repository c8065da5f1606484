import Coordinator
import Engine
import Foundation
import Glibc
import Logging
import Protocol

/// `tessera cluster up | status | down`: workers that keep running between renders.
package struct ClusterControl {
    private let plan: LaunchPlan
    private let folder: ClusterFolder
    private let onNews: @Sendable (String) -> Void

    /// - Parameters:
    ///   - plan: the hosts
    ///   - onNews: called with lines for people during long operations
    /// - Throws: `InputError` for a user without a home
    package init(
        _ plan: LaunchPlan,
        onNews: @escaping @Sendable (String) -> Void
    ) throws(InputError) {
        self.plan = plan
        self.onNews = onNews
        folder = try ClusterFolder(for: plan.path)
    }

    private var timeouts: ClusterFile.Timeouts { plan.file.timeouts }

    // MARK: - Up

    /// Starts the workers that do not run yet, keeps them, and waits until they have joined a
    /// coordinator that listens for that long.
    ///
    /// - Parameters:
    ///   - identity: the model that they must have
    ///   - least: workers without which it has failed; nil for all
    ///   - logger: gets what the coordinator says
    /// - Returns: the hosts, and what is wrong when fewer have joined
    /// - Throws: `InputError`, `SocketError`
    package func up(
        _ identity: ModelIdentity,
        least: Int?,
        logger: Logger
    ) throws -> (ClusterTable, ClusterUnavailable?) {
        let hold = try folder.take()
        defer { withExtendedLifetime(hold) { folder.tidy() } }
        let configuration = try plan.configuration(identity, fallback: nil)
        guard !configuration.endpoint.address.hasSuffix(":0") else {
            throw InputError(
                "\(plan.path): coordinator: endpoint",
                "port 0 is another one each time, and workers that stay call one",
                fix: "Choose a port, 7551 for example"
            )
        }
        var record =
            try folder.record()
            ?? ClusterFolder.Record(file: folder.file, endpoint: configuration.endpoint.address)
        let known = try survey(record)
        // A render may listen there now: then the workers join that.
        let cluster = try openUnlessTaken(configuration, logger)
        defer { cluster?.stop() }
        if cluster == nil {
            onNews("a coordinator listens at \(configuration.endpoint): workers join it")
        }
        var calls: [HostCall] = []
        var standing = 0
        for host in plan.file.hosts {
            let look = known.first { $0.report.host == host.name }
            let alive = look.map { Self.alive($0.report) } ?? []
            standing += alive.count
            if look?.report.failure != nil { continue }
            let names = plan.names(host).filter { !alive.contains($0) }
            guard !names.isEmpty else { continue }
            var call = plan.call(
                host,
                .start,
                names: names,
                endpoint: configuration.endpoint.address
            )
            call.request.folder = folder.name
            calls.append(call)
            // The dead are no more of this cluster.
            record.keep(alive, of: host.name)
        }
        // What fails is told once: below the table, or in the error if too few are left.
        let fleet = AgentFleet(calls, start: timeouts.start, stop: timeouts.stop) { _ in }
        // Whatever happens now: workers that were not recorded end.
        defer { fleet.stop(dismissed: false) }
        var kept: Set<Int> = []
        _ = try fleet.wait(until: .now + timeouts.start + .seconds(5)) { reports in
            for (place, report) in reports.enumerated()
            where report.isDone && !kept.contains(place) && report.failure == nil {
                record.add(report, model: calls[place].model)
                try folder.save(record)
                fleet.keep(place)
                kept.insert(place)
            }
            return reports.allSatisfy { $0.isDone || $0.failure != nil }
        }
        let wanted = least ?? plan.file.hosts.reduce(0) { $0 + plan.names($1).count }
        let joined = gather(wanted, standing, cluster, fleet)
        // Those that ended by themselves are not there to be stopped.
        for report in fleet.reports { record.remove(Array(report.ended.keys), of: report.host) }
        try folder.save(record)
        if let cluster, let own = ProcessIdentity(of: getpid()) {
            let sighting = ClusterFolder.Sighting(
                coordinator: own,
                endpoint: cluster.endpoint.address,
                cluster.statistics
            )
            try folder.save(sighting)
        }
        var shown = table(
            record,
            known.map(\.report).filter { r in !fleet.reports.contains { $0.host == r.host } }
                + fleet.reports,
            hasCoordinator: cluster != nil
        )
        guard joined < wanted else {
            shown.notes += fleet.reports.flatMap {
                $0.ended.sorted { $0.key < $1.key }.map(\.value)
            }
            return (shown, nil)
        }
        shown.notes.removeAll { note in
            (fleet.reports + known.map(\.report)).contains { report in
                report.failure.map { note == "host \(report.host): \($0)" } ?? false
            }
        }
        let losses = HostedCluster.losses(fleet.reports + known.map(\.report))
        return (
            shown,
            ClusterUnavailable(
                "\(plan.path): \(joined) of \(wanted) workers joined\(losses.isEmpty ? "" : ": ")"
                    + "\(losses). Those that run stay: see tessera cluster status, and "
                    + "tessera cluster down to end them"
            )
        )
    }

    private func openUnlessTaken(
        _ configuration: Cluster.Configuration,
        _ logger: Logger
    ) throws -> Cluster? {
        if let sighting = folder.sighting, sighting.coordinator.isAlive { return nil }
        return try Cluster(configuration, logger: logger)
    }

    /// - Returns: how many workers are there
    private func gather(
        _ wanted: Int,
        _ standing: Int,
        _ cluster: Cluster?,
        _ fleet: AgentFleet
    ) -> Int {
        func count() -> Int {
            let workers = cluster.map { $0.statistics.filter(\.isActive).map(\.name) }
            let seen = folder.sighting?.workers.filter(\.isActive).map(\.name) ?? []
            let names = Set(plan.file.hosts.flatMap(plan.names))
            return Set(workers ?? seen).intersection(names).count
        }
        _ = fleet.wait(until: .now + timeouts.join) { reports in
            count() >= wanted
                || standing + reports.reduce(0) { $0 + $1.expectedJoins } < wanted
                    && count() >= standing + reports.reduce(0) { $0 + $1.expectedJoins }
        }
        return count()
    }

    // MARK: - Status

    /// What is running, as far as that can be determined.
    ///
    /// - Throws: `InputError` when the record is damaged
    package func status() throws -> ClusterTable {
        guard let record = try folder.record() else {
            return table(nil, [], hasCoordinator: false)
        }
        return table(record, try survey(record).map(\.report), hasCoordinator: false)
    }

    /// Asks the hosts of a record which of their workers run.
    private func survey(
        _ record: ClusterFolder.Record
    ) throws -> [(report: HostReport, workers: [AgentRequest.Known])] {
        let fleet = try ask(record, .look)
        defer { fleet.stop(dismissed: true) }
        _ = fleet.wait(until: .now + timeouts.start + .seconds(5)) { reports in
            reports.allSatisfy { $0.isDone || $0.failure != nil }
        }
        return zip(fleet.reports, record.hosts).map { ($0, $1.workers) }
    }

    private func ask(
        _ record: ClusterFolder.Record,
        _ task: AgentRequest.Task
    ) throws -> AgentFleet {
        let calls = record.hosts.map { host in
            var request = AgentRequest(version: plan.common.version, task: task)
            request.processes = host.workers
            request.folder = folder.name
            request.patience = timeouts.stop / .seconds(1)
            return HostCall(host: host.name, command: host.command, request: request)
        }
        return AgentFleet(calls, start: timeouts.start, stop: timeouts.stop) { _ in }
    }

    private static func alive(_ report: HostReport) -> [String] {
        report.states.filter(\.value.isAlive).map(\.key).sorted()
    }

    private func table(
        _ record: ClusterFolder.Record?,
        _ reports: [HostReport],
        hasCoordinator: Bool
    ) -> ClusterTable {
        let sighting = folder.sighting
        let isLive = !hasCoordinator && (sighting?.coordinator.isAlive ?? false)
        let now = Date().timeIntervalSince1970
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
            let seen = sighting?.workers.filter { Self.belongs($0.name, to: name) } ?? []
            let expected = host.map { plan.names($0).count } ?? recorded?.workers.count ?? 0
            let rendering = isLive ? seen.count(where: \.isActive) : 0
            let running =
                report.flatMap { $0.task == .look ? Self.alive($0).count : nil }
                ?? recorded?.workers.count ?? 0
            var row = ClusterTable.Row(
                host: name,
                state: Self.state(
                    report,
                    isUp: recorded != nil,
                    running: running,
                    rendering: rendering
                ),
                workers: "\(max(rendering, running))/\(expected)"
            )
            row.model = recorded?.model ?? host?.model ?? plan.common.model
            row.cores = report?.cores
            row.add(seen, now: now)
            table.rows.append(row)
            if let failure = report?.failure { table.notes.append("host \(name): \(failure)") }
            for known in recorded?.workers ?? [] {
                guard let found = report?.states[known.name], !found.isAlive else { continue }
                let words = found.text.map { "; its last line: \($0)" } ?? ""
                table.notes.append("\(known.name) (process \(known.process.id)) is gone\(words)")
            }
        }
        if isLive, let sighting {
            table.notes.append(
                "coordinator: process \(sighting.coordinator.id) renders at \(sighting.endpoint)"
            )
        } else {
            table.notes.append(
                "no coordinator"
                    + (record.map { ": workers call \($0.endpoint) until one is there" } ?? "")
                    + (sighting == nil ? "" : "; views/s and last seen are of the last one")
            )
        }
        return table
    }

    private static func state(
        _ report: HostReport?,
        isUp: Bool,
        running: Int,
        rendering: Int
    ) -> String {
        if report?.failure != nil { return rendering > 0 ? "rendering" : "unreachable" }
        if rendering > 0 { return "rendering" }
        if running > 0 { return "up" }
        return isUp ? "gone" : "down"
    }

    private static func belongs(_ worker: String, to host: String) -> Bool {
        worker.hasPrefix("\(host)-") && Int(worker.dropFirst(host.count + 1)) != nil
    }

    // MARK: - Down

    /// Ends what `up` left running, and nothing else.
    ///
    /// - Returns: the hosts
    /// - Throws: `ClusterUnavailable` when some of it may still run; it stays recorded
    package func down() throws -> [String] {
        let hold = try folder.take()
        defer { withExtendedLifetime(hold) { folder.tidy() } }
        guard var record = try folder.record() else {
            return ["nothing runs that was started with \(plan.path)"]
        }
        let before = record
        let fleet = try ask(record, .stop)
        defer { fleet.stop(dismissed: true) }
        let patience = timeouts.start + timeouts.stop + .seconds(10)
        _ = fleet.wait(until: .now + patience) { reports in
            reports.allSatisfy { $0.isDone || $0.failure != nil || $0.isOver }
        }
        var lines: [String] = []
        var left: [String] = []
        for (report, host) in zip(fleet.reports, before.hosts) {
            let gone = report.states.filter { !$0.value.isAlive }
            record.remove(Array(gone.keys), of: report.host)
            var counts: [String: Int] = [:]
            for state in gone.values { counts[state.text ?? "", default: 0] += 1 }
            let words = [("ended", "ended"), ("killed", "killed"), ("wasGone", "gone already")]
                .compactMap { key, word in counts[key].map { "\($0) \(word)" } }
            if !words.isEmpty { lines.append("\(report.host): \(words.joined(separator: ", "))") }
            if gone.count < host.workers.count {
                let reason = report.failure ?? "\(host.workers.count - gone.count) stay"
                left.append("\(report.host): \(reason.withoutFullStop)")
            }
        }
        try folder.save(record)
        guard left.isEmpty else {
            for line in lines { onNews(line) }
            throw ClusterUnavailable(
                "\(plan.path): not all workers could be ended: \(left.joined(separator: "; ")). "
                    + "They stay recorded: call tessera cluster down again when the host answers"
            )
        }
        return lines
    }
}

extension ClusterFolder.Record {
    /// Adds the workers that a host has started.
    fileprivate mutating func add(_ report: HostReport, model: String) {
        let new = report.started.sorted { $0.key < $1.key }
            .map { AgentRequest.Known(name: $0.key, process: $0.value) }
        guard let place = hosts.firstIndex(where: { $0.name == report.host }) else {
            hosts.append(
                Host(name: report.host, command: report.command, workers: new, model: model)
            )
            return
        }
        hosts[place].command = report.command
        hosts[place].workers += new
    }

    /// Forgets all workers of a host but these.
    fileprivate mutating func keep(_ names: [String], of host: String) {
        guard let place = hosts.firstIndex(where: { $0.name == host }) else { return }
        hosts[place].workers.removeAll { !names.contains($0.name) }
        hosts.removeAll(where: \.workers.isEmpty)
    }

    /// Forgets workers of a host.
    fileprivate mutating func remove(_ names: [String], of host: String) {
        guard let place = hosts.firstIndex(where: { $0.name == host }) else { return }
        hosts[place].workers.removeAll { names.contains($0.name) }
        hosts.removeAll(where: \.workers.isEmpty)
    }
}

extension HostCall {
    /// The model that its workers load.
    fileprivate var model: String {
        guard let i = request.arguments.firstIndex(of: "--model") else { return "" }
        return request.arguments[i + 1]
    }
}
