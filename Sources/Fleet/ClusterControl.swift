import Coordinator
import Engine
import Foundation
import Protocol

/// `tessera cluster up | status | down`: workers that keep running between renders.
package struct ClusterControl {
    let plan: LaunchPlan
    let folder: ClusterFolder
    let onProgress: @Sendable (String) -> Void

    /// - Parameters:
    ///   - plan: the hosts
    ///   - onProgress: called with human-readable lines during long operations
    /// - Throws: `InputError` if the user has no home folder
    package init(
        _ plan: LaunchPlan,
        onProgress: @escaping @Sendable (String) -> Void
    ) throws(InputError) {
        self.plan = plan
        self.onProgress = onProgress
        folder = try ClusterFolder(for: plan.path)
    }

    var timeouts: ClusterFile.Timeouts { plan.file.timeouts }

    /// The workers that are running, as far as that can be determined.
    ///
    /// - Throws: `InputError` if the record is damaged
    package func status() throws -> ClusterTable {
        guard let record = try folder.record() else {
            return table(nil, [], hasCoordinator: false)
        }
        return table(record, try survey(record).map(\.report), hasCoordinator: false)
    }

    /// A recorded host, and its workers as known to its agent.
    typealias Survey = (report: HostReport, workers: [AgentRequest.Known])

    /// Asks the recorded hosts which of their workers are running.
    func survey(
        _ record: ClusterFolder.Record
    ) throws -> [Survey] {
        let fleet = try ask(record, .check)
        defer { fleet.stop(dismissed: true) }
        _ = fleet.wait(until: .now + timeouts.start + .seconds(5)) { reports in
            reports.allSatisfy { $0.isDone || $0.failure != nil }
        }
        return zip(fleet.reports, record.hosts).map { ($0, $1.workers) }
    }

    func ask(
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

    /// Workers that are running according to their host, which has checked or started them.
    static func runningWorkers(_ report: HostReport) -> [String] {
        switch report.task {
        case .check: alive(report)
        case .start: report.started.keys.filter { report.ended[$0] == nil }.sorted()
        case .run, .stop: []
        }
    }

    static func alive(_ report: HostReport) -> [String] {
        report.states.filter(\.value.isAlive).map(\.key).sorted()
    }
}
