import Coordinator
import Engine
import Foundation
import Glibc
import Logging
import Protocol

/// A cluster on the hosts of a file: workers that `tessera cluster up` left running join by themselves; on
/// the other hosts workers are started, and ended with the render.
package final class HostedCluster: Sendable {
    package let cluster: Cluster
    private let directory: PrivateDirectory?
    private let fleet: AgentFleet
    private let statusWriter: StatusWriter?
    private let folder: ClusterFolder?
    /// Workers that are running already.
    private let standing: Int
    private let place: String

    /// Listens and calls the hosts; workers join while the caller continues.
    ///
    /// - Parameters:
    ///   - plan: the hosts
    ///   - identity: the model that workers must have
    ///   - logger: logs events, and the workers' messages
    /// - Throws: `InputError` when the endpoint cannot be listened on or keys cannot be read,
    ///   `SocketError`
    package init(_ plan: LaunchPlan, _ identity: ModelIdentity, logger: Logger) throws {
        place = plan.path
        let folder = try? ClusterFolder(for: plan.path)
        self.folder = folder
        let record = try folder?.record()
        let recorded = Set(record?.hosts.map(\.name) ?? [])
        let hosts = plan.file.hosts.filter { !recorded.contains($0.name) }
        standing =
            record?.hosts.filter { host in plan.file.hosts.contains { $0.name == host.name } }
            .reduce(0) { $0 + $1.workers.count } ?? 0
        directory = plan.file.coordinator.endpoint == nil ? try PrivateDirectory() : nil
        let configuration = try plan.configuration(identity, fallback: directory?.endpoint)
        if plan.file.coordinator.insecure, !configuration.security.isEncrypted {
            logger.warning(
                "anybody who can reach \(configuration.endpoint.address) can read the traffic and join: insecure"
            )
        }
        let cluster = try Cluster(configuration, logger: logger)
        self.cluster = cluster
        let expectOthers = standing > 0
        fleet = AgentFleet(
            hosts.map { plan.call($0, .run, endpoint: cluster.endpoint.address) },
            start: plan.file.timeouts.start,
            stop: plan.file.timeouts.stop
        ) { [weak cluster] news in
            switch news {
            case .said(let worker, let line):
                logger.info("worker says", metadata: ["worker": "\(worker)", "line": "\(line)"])
            case .ended(let worker, let process, let account):
                cluster?.processEnded(worker, process: process, account: account)
            case .failed(let host, let reason): logger.warning("host \(host): \(reason)")
            case .nobodyLeft: if !expectOthers { cluster?.expectNobody() }
            }
        }
        statusWriter = folder.map { StatusWriter(cluster, $0) }
    }

    /// Waits until enough workers have joined.
    ///
    /// - Parameters:
    ///   - least: minimum number
    ///   - patience: timeout
    ///   - cancellation: ends the wait
    /// - Throws: `ClusterUnavailable` when there will not be enough, `RenderCancelled`
    package func awaitWorkers(
        _ least: Int,
        patience: Duration,
        cancellation: Cancellation = Cancellation()
    ) throws {
        let enough = try fleet.wait(until: .now + patience) { reports in
            if cancellation.isCancelled { throw RenderCancelled() }
            if joined >= least { return true }
            let expectedJoins = standing + reports.reduce(0) { $0 + $1.expectedJoins }
            guard expectedJoins < least else { return false }
            let losses = Self.losses(reports)
            throw ClusterUnavailable(
                "\(place): at most \(expectedJoins) of \(least) workers can join"
                    + "\(losses.isEmpty ? "" : ": ")\(losses). Correct the hosts, or ask for fewer "
                    + "with --min-workers"
            )
        }
        guard enough else {
            let losses = Self.losses(fleet.reports)
            throw ClusterUnavailable(
                "\(place): \(joined) of \(least) workers joined within "
                    + "\(Int(patience / .seconds(1))) s\(losses.isEmpty ? "" : ": ")\(losses). "
                    + "Look at tessera cluster status, or give them more time (timeouts: join)"
            )
        }
    }

    private var joined: Int { cluster.statistics.count { $0.isActive } }

    /// What happened to hosts and workers, in words.
    static func losses(_ reports: [HostReport]) -> String {
        reports.flatMap { report in
            (report.failure.map { ["\(report.host): \($0)"] } ?? [])
                + report.ended.sorted { $0.key < $1.key }.map(\.value)
        }.map(\.withoutFullStop).joined(separator: "; ")
    }

    /// Ends what was started for this render, and nothing else. Call once.
    package func stop() {
        cluster.stop()
        fleet.stop(dismissed: true)
        statusWriter?.stop()
        folder?.tidy()
        directory?.remove()
    }
}
