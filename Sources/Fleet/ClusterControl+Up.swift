import Coordinator
import Engine
import Foundation
import Glibc
import Logging
import Protocol

extension ClusterControl {
    /// Starts the workers that are not running yet, leaves them running, and acts as their coordinator until they have
    /// joined.
    ///
    /// - Parameters:
    ///   - identity: the model that the workers must have
    ///   - least: minimum number of workers for success; nil for all
    ///   - logger: logs the coordinator's events
    /// - Returns: the table of hosts, and the error if too few workers have joined
    /// - Throws: `InputError`, `SocketError`
    package func up(
        _ identity: ModelIdentity,
        least: Int?,
        logger: Logger
    ) throws -> (ClusterTable, ClusterUnavailable?) {
        guard !plan.file.hosts.isEmpty else {
            throw InputError(
                "\(plan.path): hosts",
                "none is listed, so there is nothing to start",
                fix:
                    "Invite machines with tessera cluster invite: they join a render, or tessera serve, with --cluster "
                    + ShellWords.join([plan.path])
            )
        }
        let hold = try folder.take()
        defer { withExtendedLifetime(hold) { folder.tidy() } }
        try plan.prepareKeys()
        var configuration = try plan.configuration(identity, fallback: nil)
        guard !configuration.endpoint.address.hasSuffix(":0") else {
            throw InputError(
                "\(plan.path): coordinator: endpoint",
                "port 0 chooses another port each time, and workers that stay need a fixed one",
                fix: "Choose a port, 7551 for example"
            )
        }
        var record =
            try folder.record()
            ?? ClusterFolder.Record(file: folder.file, endpoint: configuration.endpoint.address)
        let known = try survey(record)
        // If a render is already listening there, the workers join that instead.
        configuration.patienceWithUnknown = HostedCluster.explanationTime
        let cluster = try openUnlessTaken(configuration, logger)
        defer {
            cluster?.stop()
            if let cluster, let own = ProcessIdentity(of: getpid()) {
                Self.note(own).remove(at: cluster.endpoint)
            }
        }
        let published = cluster.flatMap {
            plan.publish($0.endpoint, configuration.security, logger)
        }
        defer { published?.stop() }
        if cluster == nil {
            onProgress("a coordinator listens at \(configuration.endpoint): workers join it")
        }
        let (calls, running) = calls(known, &record, endpoint: configuration.endpoint)
        // Failures are reported only once: below the table, or in the error if too few workers are left.
        let fleet = AgentFleet(calls, start: timeouts.start, stop: timeouts.stop) { _ in }
        // Workers that were not recorded must end, whatever happens.
        defer { fleet.stop(dismissed: false) }
        try keep(calls, of: fleet, in: &record)
        let wanted = least ?? plan.file.hosts.reduce(0) { $0 + plan.names($1).count }
        let joined = gather(wanted, running, cluster, fleet, logger)
        // Workers that ended by themselves need not be stopped later.
        for report in fleet.reports { record.remove(Array(report.ended.keys), of: report.host) }
        try folder.save(record)
        try saveSnapshot(of: cluster)
        let surveyed = known.map(\.report)
        var shown = table(
            record,
            surveyed.filter { r in !fleet.reports.contains { $0.host == r.host } } + fleet.reports,
            hasCoordinator: cluster != nil
        )
        guard joined < wanted else {
            shown.notes += fleet.reports.flatMap {
                $0.ended.sorted { $0.key < $1.key }.map(\.value)
            }
            return (shown, nil)
        }
        let problem = tooFew(
            joined,
            of: wanted,
            fleet.reports + surveyed,
            refused: cluster?.refused ?? [:],
            &shown
        )
        return (shown, problem)
    }

    /// The calls that start the missing workers.
    ///
    /// - Parameters:
    ///   - known: results of the survey of running workers
    ///   - record: the record; workers that no longer run are removed from it
    ///   - endpoint: the endpoint that workers connect to
    /// - Returns: the calls, and how many workers are running already
    private func calls(
        _ known: [Survey],
        _ record: inout ClusterFolder.Record,
        endpoint: Endpoint
    ) -> ([HostCall], running: Int) {
        var calls: [HostCall] = []
        var running = 0
        for host in plan.file.hosts {
            let look = known.first { $0.report.host == host.name }
            let alive = look.map { Self.alive($0.report) } ?? []
            running += alive.count
            if look?.report.failure != nil { continue }
            let names = plan.names(host).filter { !alive.contains($0) }
            guard !names.isEmpty else { continue }
            var call = plan.call(
                host,
                .start,
                names: names,
                endpoint: endpoint.address
            )
            call.request.folder = folder.name
            calls.append(call)
            // Workers that ended are removed from the record.
            record.keep(alive, of: host.name)
        }
        return (calls, running)
    }

    /// Waits until every host has either started its workers or failed; started workers are recorded and left running.
    private func keep(
        _ calls: [HostCall],
        of fleet: AgentFleet,
        in record: inout ClusterFolder.Record
    ) throws {
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
    }

    /// Saves this coordinator's knowledge about the workers for other commands.
    private func saveSnapshot(of cluster: Cluster?) throws {
        guard let cluster, let own = ProcessIdentity(of: getpid()) else { return }
        try folder.save(
            ClusterFolder.Snapshot(
                coordinator: own,
                endpoint: cluster.endpoint.address,
                cluster.statistics
            )
        )
    }

    /// The error if fewer workers joined than requested. It lists the losses, so that the table does not repeat them.
    private func tooFew(
        _ joined: Int,
        of wanted: Int,
        _ reports: [HostReport],
        refused: [String: RefusedWorker],
        _ shown: inout ClusterTable
    ) -> ClusterUnavailable {
        shown.notes.removeAll { note in
            reports.contains { report in
                report.failure.map { note == "host \(report.host): \($0)" } ?? false
            }
        }
        let losses = HostedCluster.losses(reports, refused: refused)
        return ClusterUnavailable(
            "\(plan.path): \(joined) of \(wanted) workers joined"
                + "\(HostedCluster.listed(losses)). Those that run stay: see tessera cluster status, and "
                + "tessera cluster down to end them"
        )
    }

    private static func note(_ process: ProcessIdentity) -> EndpointNote {
        EndpointNote(process: process, work: "tessera cluster up")
    }

    private func openUnlessTaken(
        _ configuration: Cluster.Configuration,
        _ logger: Logger
    ) throws -> Cluster? {
        if let snapshot = folder.snapshot, snapshot.coordinator.isAlive { return nil }
        do {
            let cluster = try Cluster(configuration, logger: logger)
            if let own = ProcessIdentity(of: getpid()) {
                Self.note(own).write(at: cluster.endpoint)
            }
            return cluster
        } catch let error as EndpointTaken {
            throw error.error(waits: nil)
        }
    }

    /// - Returns: number of workers that have joined
    private func gather(
        _ wanted: Int,
        _ running: Int,
        _ cluster: Cluster?,
        _ fleet: AgentFleet,
        _ logger: Logger
    ) -> Int {
        let start = ContinuousClock.now
        var watch = HostWatch()
        var explained: Set<String> = []
        func count() -> Int {
            let workers = cluster.map { $0.statistics.filter(\.isActive).map(\.name) }
            let seen = folder.snapshot?.workers.filter(\.isActive).map(\.name) ?? []
            let names = Set(plan.file.hosts.flatMap(plan.names))
            return Set(workers ?? seen).intersection(names).count
        }
        _ = fleet.wait(until: .now + timeouts.join) { reports in
            if let cluster {
                let view = HostWatch.View(
                    joined: Set(cluster.statistics.filter(\.isActive).map(\.name)),
                    refused: cluster.refused,
                    elapsed: start.duration(to: .now)
                )
                // Workers that have ended are reported in the error at the end.
                for warning in watch.warnings(reports, view) where warning.isMissing {
                    logger.warning("\(warning.line)")
                    cluster.explain(warning.worker)
                    explained.insert(warning.worker)
                }
                explained.subtract(view.joined)
            }
            let refused = cluster?.refused.count { !$0.value.isChanging } ?? 0
            let possible =
                running + reports.reduce(0) { $0 + $1.expectedJoins } - refused - explained.count
            return count() >= wanted || possible < wanted && count() >= possible
        }
        return count()
    }
}

extension HostCall {
    /// The model that the call's workers load.
    fileprivate var model: String {
        guard let i = request.arguments.firstIndex(of: "--model") else { return "" }
        return request.arguments[i + 1]
    }
}
