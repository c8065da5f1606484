import Coordinator
import Engine
import Foundation
import Glibc
import Logging
import Protocol
import Synchronization

/// A cluster on the hosts of a cluster file. Workers that `tessera cluster up` left running join by themselves; those
/// that are missing are started, and end with the render.
package final class HostedCluster: Sendable {
    package let cluster: Cluster
    private let directory: PrivateDirectory?
    private let fleet: AgentFleet
    private let statusWriter: StatusWriter?
    private let folder: ClusterFolder?
    private let place: String
    private let logger: Logger
    private let start = ContinuousClock.now
    private let announcement: EndpointAnnouncement
    /// The announcement on the network segment, if the file requests one.
    private let published: LANAnnouncement?
    /// Machines that joined by invitation.
    private let joined: JoinFolder?
    private let isOver = BlockingQueue<Void>()
    private let watching = Mutex<NamedThread?>(nil)
    /// The warning about each missing worker, by name.
    private let explained = Mutex<[String: String]>([:])

    /// How long workers that were left running have to connect if their host cannot be asked about them: they try every
    /// few seconds.
    private static let reconnectTime: Duration = .seconds(15)
    /// How long to wait before telling the user what is being waited for.
    private static let quietTime: Duration = .seconds(4)
    /// How long a rejected connection may remain unexplained before it is reported without its host's name.
    static let explanationTime: Duration = .seconds(20)

    /// Starts listening and calls the hosts; workers join while the caller continues.
    ///
    /// - Parameters:
    ///   - plan: the hosts
    ///   - identity: the model that workers must have
    ///   - role: what the workers are needed for
    ///   - logger: logs events and the workers' messages
    /// - Throws: `EndpointTaken` if another process is listening there, `InputError` if it cannot listen on the
    ///   endpoint or read keys, `SocketError`
    package init(
        _ plan: LaunchPlan,
        _ identity: ModelIdentity,
        role: CoordinatorRole = .render,
        logger: Logger
    ) throws {
        place = plan.path
        self.logger = logger
        let folder = try? ClusterFolder(for: plan.path)
        self.folder = folder
        let record = try folder?.record()
        directory = plan.file.coordinator.endpoint == nil ? try PrivateDirectory() : nil
        try plan.prepareKeys()
        var configuration = try plan.configuration(identity, fallback: directory?.endpoint)
        configuration.patienceWithUnknown = Self.explanationTime
        if plan.file.coordinator.insecure, !configuration.security.isEncrypted {
            logger.warning(
                "anybody who can reach \(configuration.endpoint.address) can read the traffic and join: insecure"
            )
        }
        let joined = configuration.joined
        self.joined = joined
        let cluster = try Cluster(configuration, logger: logger)
        self.cluster = cluster
        announcement = EndpointAnnouncement(cluster.endpoint, of: role)
        published =
            role == .test
            ? nil : plan.publish(cluster.endpoint, configuration.security, logger)
        let calls = plan.file.hosts.map { host in
            let known = record?.hosts.first { $0.name == host.name }?.workers ?? []
            var call = plan.call(host, .run, endpoint: cluster.endpoint.address, leftRunning: known)
            call.request.folder = folder?.name ?? ""
            return call
        }
        fleet = AgentFleet(
            calls,
            start: plan.file.timeouts.start,
            stop: plan.file.timeouts.stop
        ) { [weak cluster] event in
            switch event {
            case .said(let worker, let line):
                // Problems of a worker that never joined are reported by the watch.
                let isMember = cluster?.statistics.contains { $0.name == worker } ?? false
                WorkerLine(worker: worker, text: line, isHeard: isMember).report(to: logger)
            case .ended(let worker, let process, let account):
                cluster?.processEnded(worker, process: process, account: account)
            case .failed(let host, let reason): logger.warning("host \(host): \(reason)")
            case .noWorkersLeft:
                if !Self.mayOthersJoin(joined) { cluster?.expectNoMoreWorkers() }
            }
        }
        statusWriter = folder.map { StatusWriter(cluster, $0) }
        watching.withLock { $0 = NamedThread("hostWatch") { [weak self] in self?.watch(logger) } }
    }

    /// Whether machines that are not in the file have joined, or may join now.
    private static func mayOthersJoin(_ joined: JoinFolder?) -> Bool {
        guard let book = try? joined?.book() else { return false }
        let now = Date().timeIntervalSince1970
        return !book.members.isEmpty || book.invitations.contains { $0.isOpen(at: now) }
    }

    /// Warns about hosts that do not take part, until the render is stopped.
    private func watch(_ logger: Logger) {
        var watch = HostWatch()
        while isOver.take(before: .now + .milliseconds(250)) == nil {
            for warning in watch.warnings(fleet.reports, view) {
                logger.warning("\(warning.line)")
                cluster.explain(warning.worker)
                explained.withLock { $0[warning.worker] = warning.line }
            }
        }
    }

    /// What the hosts' agents have reported.
    package var reports: [HostReport] { fleet.reports }

    private var view: HostWatch.View {
        HostWatch.View(
            joined: Set(cluster.statistics.filter(\.isActive).map(\.name)),
            refused: cluster.refused,
            elapsed: start.duration(to: .now)
        )
    }

    /// Updates the published progress of the render.
    package func note(_ report: RenderReport) { announcement.note(report) }

    /// Publishes that nothing is being rendered at the moment.
    package func rest() { announcement.rest() }

    /// Summary of which hosts took part in the render, and why others did not.
    package var summary: String {
        let working = cluster.statistics.filter { $0.views + $0.tiles > 0 }.map(\.name)
        return HostWatch.summary(fleet.reports, view, working: Set(working))
    }

    /// Waits until enough workers have joined.
    ///
    /// - Parameters:
    ///   - least: minimum number of workers
    ///   - patience: how long to wait
    ///   - cancellation: ends the wait
    /// - Throws: `ClusterUnavailable` if that number cannot be reached, `RenderCancelled`
    package func awaitWorkers(
        _ least: Int,
        patience: Duration,
        cancellation: Cancellation = Cancellation()
    ) throws {
        let begin = ContinuousClock.now
        var isTold = false
        let enough = try fleet.wait(until: begin + patience) { reports in
            if cancellation.isCancelled { throw RenderCancelled() }
            if activeCount >= least { return true }
            if !isTold, begin.duration(to: .now) >= Self.quietTime {
                isTold = true
                let rest = (absentMembers + openInvitations).joined(separator: "; ")
                logger.notice(
                    "waiting for workers: \(activeCount) of \(least) joined\(Self.listed(rest))"
                )
            }
            let refused = cluster.refused.filter { !$0.value.isChanging }
            let expected = expectedJoins(reports, refused: Set(refused.keys))
            guard expected < least else { return false }
            throw ClusterUnavailable(
                "\(place): \(expected == 0 ? "no worker" : "at most \(expected) of \(least) workers") can join"
                    + "\(Self.listed(losses(reports, refused))). "
                    + Self.remedy(refused.isEmpty ? nil : cluster.required)
            )
        }
        guard enough else {
            let present = view.joined
            let absent = explained.withLock { explained in
                explained.filter { !present.contains($0.key) }.sorted { $0.key < $1.key }.map(
                    \.value
                )
            }
            // Members that are loading the model are reported as such, not as refused.
            let members = Set(book.members.map(\.name))
            let refused = cluster.refused.filter {
                !$0.value.isChanging || !members.contains($0.key)
            }
            let losses = ([losses(fleet.reports, refused)] + absent)
                .filter { !$0.isEmpty }.map(\.withoutFullStop).joined(separator: "; ")
            throw ClusterUnavailable(
                "\(place): \(activeCount) of \(least) workers joined within "
                    + "\(Int(patience / .seconds(1))) s\(Self.listed(losses)). "
                    + "Look at tessera cluster status, or give them more time (timeouts: join)"
            )
        }
    }

    /// What happened to hosts, workers and machines that joined by invitation, as text.
    private func losses(_ reports: [HostReport], _ refused: [String: RefusedWorker]) -> String {
        ([Self.losses(reports, refused: refused)] + absentMembers).filter { !$0.isEmpty }
            .joined(separator: "; ")
    }

    private var book: JoinBook { (try? joined?.book()) ?? JoinBook() }

    /// Machines that joined by invitation but are not connected, as text.
    private var absentMembers: [String] {
        let here = Set(cluster.statistics.filter(\.isActive).compactMap(\.key))
        let preparing = cluster.preparing
        let refused = cluster.refused
        // Why the others are kept out is reported elsewhere.
        let absent = book.members.filter { member in
            !here.contains(member.key) && refused[member.name]?.isChanging != false
        }
        return absent.map { member in
            if preparing.contains(member.key) { return "\(member.name) fetches or loads the model" }
            let silence =
                refused[member.name] == nil
                ? "has not called" : "fetched or loaded the model, and calls no longer"
            return "\(member.name) \(silence) (on that machine: tessera join)"
        }
    }

    /// Says that more machines may join, if an invitation is open.
    private var openInvitations: [String] {
        let now = Date().timeIntervalSince1970
        return book.invitations.contains { $0.isOpen(at: now) } ? ["an invitation is open"] : []
    }

    /// Number of workers that have joined or may still do so.
    private func expectedJoins(_ reports: [HostReport], refused: Set<String>) -> Int {
        let now = Date().timeIntervalSince1970
        let book = book
        return ExpectedWorkers(
            reports: reports,
            active: cluster.statistics.filter(\.isActive).map { ($0.name, $0.key) },
            refused: refused,
            members: book.members.map { ($0.name, $0.key) },
            preparing: cluster.preparing,
            usesLeft: book.invitations.filter { $0.isOpen(at: now) }
                .reduce(0) { $0 + $1.uses - $1.usedBy.count },
            isLate: start.duration(to: .now) >= Self.reconnectTime
        ).count
    }

    private var activeCount: Int { cluster.statistics.count { $0.isActive } }

    /// What happened to hosts and workers, as text.
    static func losses(
        _ reports: [HostReport],
        refused: [String: RefusedWorker] = [:]
    ) -> String {
        let reasons = reports.flatMap { report in
            (report.failure.map { ["\(report.host): \($0)"] } ?? [])
                + report.ended.filter { refused[$0.key] == nil }
                .sorted { $0.key < $1.key }.map(\.value)
        }
        // Workers are usually refused for the same reason.
        let groups = Dictionary(grouping: refused.keys) { refused[$0]?.reason ?? "" }
        let refusals = groups.map { "\($1.sorted().joined(separator: ", ")): \($0)" }.sorted()
        return (reasons + refusals).map(\.withoutFullStop).joined(separator: "; ")
    }

    static func listed(_ losses: String) -> String { losses.isEmpty ? "" : ": \(losses)" }

    /// What to do about missing workers; `required` is what they were refused for, if they were.
    private static func remedy(_ required: WorkerRequirements?) -> String {
        guard let required else {
            return "Correct the hosts, invite machines (tessera cluster invite), or ask for fewer "
                + "with --min-workers"
        }
        return
            "Render with what they have, or restart them: tessera cluster down, then tessera cluster up "
            + ShellWords.join(
                ["--model", required.model.path] + required.loras.flatMap { ["--lora", $0] }
            )
            + (required.precision.map { " --precision \($0)" } ?? "")
            + (required.backend.map { " --backend \($0)" } ?? "")
    }

    /// Ends what was started for this render, and nothing else. Call once.
    package func stop() {
        isOver.put(())
        watching.withLock { watching in
            watching?.join()
            watching = nil
        }
        announcement.stop()
        published?.stop()
        let connected = view.joined
        cluster.stop()
        fleet.stop(dismissed: true, connected: connected)
        statusWriter?.stop()
        folder?.tidy()
        directory?.remove()
    }
}
