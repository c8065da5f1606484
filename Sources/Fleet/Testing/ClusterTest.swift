import Coordinator
import Engine
import Foundation
import Logging
import Protocol

/// `tessera cluster test`: starts what a render would start, queries and measures every worker, and ends what it
/// started.
package struct ClusterTest {
    private let plan: LaunchPlan
    private let session: RenderSession
    private let computation: Rendering.Computation
    private let onProgress: (String) -> Void

    /// How long machines that joined by invitation, and workers that report problems, have to connect.
    private static let callTime: Duration = .seconds(12)
    /// How long invited machines have to join if an invitation is open: they try every few seconds.
    private static let joinTime: Duration = .seconds(7)
    private static let answerTime = 300.0
    /// Sizes in floats of the two payloads that measure a link. The second is sent only if the first took less than
    /// `quick` seconds.
    private static let loads = (first: 1 << 16, second: 1 << 20, quick: 0.25)
    private static let pings = 5
    /// Number of views that are timed; one more before them loads the weights.
    private static let views = 2

    /// - Parameters:
    ///   - plan: the hosts
    ///   - session: the session of a picture with the model
    ///   - computation: how to compute the text encoders
    ///   - onProgress: called with human-readable lines
    package init(
        _ plan: LaunchPlan,
        _ session: RenderSession,
        _ computation: Rendering.Computation,
        onProgress: @escaping (String) -> Void
    ) {
        (self.plan, self.session, self.computation) = (plan, session, computation)
        self.onProgress = onProgress
    }

    /// - Returns: all checks, in display order
    /// - Throws: `ClusterUnavailable` if a coordinator of the cluster is running; anything else that prevents the test
    package func run() throws -> ClusterFindings {
        let identity = try ModelIdentity(of: session.model)
        var checks = [
            ClusterCheck("coordinator", .model, .good, identity.summary)
        ]
        let folder = FileManager.default.currentDirectoryPath
        if let free = Self.freeBytes(folder) {
            let needed = max(1 << 30, 2 * session.plan.checkpointBytes + session.plan.pictureBytes)
            checks.append(ClusterVerdicts.disk("coordinator", free, at: folder, needed: needed))
        }
        let view = try session.trialView(computation)
        let hosted: HostedCluster
        do {
            hosted = try HostedCluster(plan, identity, role: .test, logger: .silent)
        } catch let error as EndpointTaken {
            throw ClusterUnavailable(
                "\(error.endpoint): \(error.holder ?? "another process") uses it, and a test would "
                    + "disturb it. Look at tessera cluster top or status, or test when it has ended"
            )
        } catch let error as InputError {
            return ClusterFindings(
                checks: checks + [
                    ClusterCheck(
                        "coordinator",
                        .keys,
                        .failed,
                        "\(error.place): \(error.problem)",
                        remedy: error.remedy
                    )
                ]
            )
        }
        defer { hosted.stop() }
        checks.append(keys(hosted))
        let joined = try ClusterFolder(for: plan.path).joined
        func book() -> JoinBook { (try? joined.book()) ?? JoinBook() }
        let invited = book().members.count
        onProgress(
            "waiting for workers (hosts: \(plan.file.hosts.count)"
                + (invited > 0 ? ", joined by invitation: \(invited))" : ")")
        )
        awaitWorkers(hosted, book)
        // Reread the list: some may have joined just now.
        let members = book().members
        checks +=
            HostVerdicts(
                hosts: plan.file.hosts.map { ($0.name, plan.names($0)) },
                members: members.map { ($0.name, $0.key) },
                reports: hosted.reports,
                workers: hosted.cluster.statistics,
                refused: hosted.cluster.refused
            ).checks
        let facts = measure(hosted.cluster, view)
        let verdicts = ClusterVerdicts(
            weights: try session.weightBytes(),
            viewBytes: 4 * view.input.count
        )
        return ClusterFindings(checks: checks + verdicts.checks(facts))
    }

    private func keys(_ hosted: HostedCluster) -> ClusterCheck {
        let endpoint = hosted.cluster.endpoint.address
        guard plan.file.coordinator.insecure else {
            return ClusterCheck("coordinator", .keys, .good, "listens at \(endpoint)")
        }
        return ClusterCheck(
            "coordinator",
            .keys,
            .warning,
            "insecure: whoever reaches \(endpoint) can read and join",
            remedy: "remove insecure and let tessera cluster invite make keys"
        )
    }

    /// Waits until every worker that still can has joined.
    private func awaitWorkers(_ hosted: HostedCluster, _ book: () -> JoinBook) {
        let start = ContinuousClock.now
        let names = Set(plan.file.hosts.flatMap(plan.names))
        while start.duration(to: .now) < plan.file.timeouts.join {
            let workers = hosted.cluster.statistics.filter(\.isActive)
            let refused = hosted.cluster.refused.filter { !$0.value.isChanging }
            let hopeless = hosted.reports.flatMap { report in
                report.failure != nil || report.isOver ? report.expected : Array(report.ended.keys)
            }
            let missing = names.subtracting(workers.map(\.name)).subtracting(hopeless)
                .subtracting(refused.keys)
            let keys = Set(workers.compactMap(\.key))
            let calls = start.duration(to: .now) < Self.callTime
            let book = book()
            let absent = book.members.filter { !keys.contains($0.key) }
            let now = Date().timeIntervalSince1970
            let mayJoin =
                start.duration(to: .now) < Self.joinTime
                && book.invitations.contains { $0.isOpen(at: now) }
            let complains = missing.allSatisfy { name in
                hosted.reports.contains {
                    $0.expected.contains(name) && HostWatch.complaint(of: name, $0) != nil
                }
            }
            let isComplete = missing.isEmpty && (absent.isEmpty && !mayJoin || !calls)
            if isComplete || complains && !calls { return }
            usleep(50_000)
        }
    }

    /// Measures the links one after the other, then the view on all workers in parallel.
    private func measure(_ cluster: Cluster, _ view: WorkUnit) -> [WorkerFacts] {
        let workers = cluster.statistics.filter(\.isActive).sorted { $0.name < $1.name }
        var facts = workers.map { worker in
            var facts = WorkerFacts(
                name: worker.name,
                kind: Self.kind(worker),
                isExact: worker.precision == Precision.f32.rawValue,
                threads: worker.threads
            )
            facts.version = worker.version
            facts.key = worker.key?.fingerprint
            return facts
        }
        guard !facts.isEmpty else { return facts }
        onProgress("measuring (workers: \(facts.count))")
        for place in facts.indices { measureLink(cluster, &facts[place]) }
        let job = cluster.open(session.plan.model, wire: session.plan.settings.wire)
        defer { job.end() }
        for round in 0...Self.views {
            let replies = facts.map { cluster.probe($0.name, .unit(view, job)) }
            let end = ContinuousClock.now + .seconds(Self.answerTime)
            for (place, reply) in replies.enumerated() {
                switch reply.take(before: end) {
                case .result(let result, let spent):
                    facts[place].result = facts[place].result ?? result.tensor
                    guard round > 0 else { break }
                    let time = max(1e-6, spent / .seconds(1))
                    facts[place].view = min(facts[place].view ?? time, time)
                case .failed(let reason): facts[place].failure = reason
                case .report: break
                case nil:
                    facts[place].failure = "no answer to a view within \(Int(Self.answerTime)) s"
                }
            }
        }
        // Memory is only meaningful after the work.
        for place in facts.indices where facts[place].report != nil {
            if let (report, _, _) = ask(cluster, facts[place].name) { facts[place].report = report }
        }
        return facts
    }

    private func ask(
        _ cluster: Cluster,
        _ name: String,
        load: Int = 0,
        floats: Int = 0
    ) -> (WorkerReport, sent: Double, came: Double)? {
        let reply = cluster.probe(name, .report(load: load, floats: floats))
        guard
            case .report(let report, let sent, let came)? = reply.take(
                before: .now + .seconds(60)
            )
        else { return nil }
        return (report, sent, came)
    }

    private func measureLink(_ cluster: Cluster, _ facts: inout WorkerFacts) {
        for _ in 0..<Self.pings {
            guard let (report, sent, came) = ask(cluster, facts.name) else {
                if facts.version < 8 {
                    facts.failure = "its version of the protocol has no reports"
                }
                return
            }
            facts.report = report
            guard came - sent < facts.roundTrip ?? .infinity else { continue }
            facts.roundTrip = came - sent
            facts.clock = Double(report.clock) / 1e6 - (sent + came) / 2
        }
        let trip = facts.roundTrip ?? 0
        func rate(_ isOut: Bool) -> Double? {
            var rate: Double?
            for floats in [Self.loads.first, Self.loads.second] {
                guard
                    let (_, sent, came) = ask(
                        cluster,
                        facts.name,
                        load: isOut ? floats : 0,
                        floats: isOut ? 0 : floats
                    )
                else { return rate }
                rate = Double(4 * floats) / max(1e-6, came - sent - trip)
                if came - sent > Self.loads.quick { break }
            }
            return rate
        }
        (facts.toWorker, facts.fromWorker) = (rate(true), rate(false))
    }

    private static func kind(_ worker: WorkerStatistics) -> String {
        let device = TorchDevices.model(ofTitle: worker.processor) ?? worker.processor
        return "\(worker.backend) \(worker.precision) on \(device)"
    }

    private static func freeBytes(_ path: String) -> Int? {
        var disk = statvfs()
        guard statvfs(path, &disk) == 0 else { return nil }
        return Int(clamping: UInt64(disk.f_bavail) * UInt64(disk.f_frsize))
    }
}

extension Logger {
    /// A logger without output: the table shows the results.
    fileprivate static var silent: Logger {
        Logger(label: "tessera") { _ in SwiftLogNoOpLogHandler() }
    }
}
