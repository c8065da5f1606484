import Engine
import Foundation
import Protocol
import Synchronization

/// How to reach a host, and what its agent should do.
package struct HostCall: Equatable, Sendable {
    package var host: String
    package var command: [String]
    package var request: AgentRequest

    package init(host: String, command: [String], request: AgentRequest) {
        (self.host, self.command, self.request) = (host, command, request)
    }
}

/// The agents of several hosts, all running in parallel.
package final class AgentFleet: Sendable {
    /// Events on the hosts, reported on other threads.
    package enum Event: Sendable {
        case said(worker: String, line: String)
        case ended(worker: String, process: Int32, account: String)
        /// A host cannot be used, or can no longer be used.
        case failed(host: String, reason: String)
        /// No host will run a worker any longer.
        case noWorkersLeft
    }

    private let links: [AgentLink?]
    private let patience: Duration

    /// Contacts all hosts.
    ///
    /// - Parameters:
    ///   - calls: one for each host
    ///   - start: timeout for a host's first answer
    ///   - stop: timeout for agents to end
    ///   - onEvent: called for each event
    package init(
        _ calls: [HostCall],
        start: Duration,
        stop: Duration,
        onEvent: @escaping @Sendable (Event) -> Void
    ) {
        patience = stop
        let board = FleetBoard(
            calls.map {
                HostReport(
                    host: $0.host,
                    command: $0.command,
                    task: $0.request.task,
                    expected: $0.request.names,
                    leftRunning: $0.request.task == .run
                        ? $0.request.processes.map(\.name) : []
                )
            },
            onEvent
        )
        self.board = board
        var links: [AgentLink?] = []
        for (place, call) in calls.enumerated() {
            do {
                links.append(
                    try AgentLink(
                        call.command,
                        host: call.host,
                        request: call.request,
                        onLine: { board.take($0, place) },
                        onEnd: { ending in board.change(place) { $0.end("\(ending)") } }
                    )
                )
            } catch {
                links.append(nil)
                board.change(place) {
                    $0.fail("\(error)")
                    $0.finish()
                }
            }
        }
        self.links = links
        let late = links
        _ = NamedThread("answers", stack: 1 << 20) {
            let end = ContinuousClock.now + start
            while ContinuousClock.now < end, board.isWaiting { usleep(20_000) }
            let seconds = Int(start / .seconds(1))
            for (place, link) in late.enumerated() where board.reports[place].cores == nil {
                guard let link, !board.reports[place].isOver else { continue }
                board.change(place) { $0.fail("it did not answer within \(seconds) s") }
                link.kill()
            }
        }
    }

    private let board: FleetBoard

    /// What is known about each host, in the order of `calls`.
    package var reports: [HostReport] { board.reports }

    /// Waits until a condition holds.
    ///
    /// - Returns: false on a timeout
    package func wait(
        until deadline: ContinuousClock.Instant,
        _ holds: ([HostReport]) throws -> Bool
    ) rethrows -> Bool {
        while true {
            if try holds(reports) { return true }
            guard ContinuousClock.now < deadline else { return false }
            usleep(20_000)
        }
    }

    /// Tells a host's agent to keep its workers running.
    package func keep(_ place: Int) { links[place]?.keep() }

    /// Ends all agents, and with them the workers that are not kept.
    ///
    /// - Parameters:
    ///   - dismissed: whether the workers were told to end and need time to do so
    ///   - connected: names of the workers that were told; hosts with any other workers are not waited for
    package func stop(dismissed: Bool, connected: Set<String> = []) {
        board.stopReporting()
        let now = ContinuousClock.now
        let soon = dismissed ? now + patience : now
        for (link, report) in zip(links, board.reports)
        where !dismissed || report.started.isEmpty
            || !connected.isSuperset(of: report.started.keys)
        {
            link?.closeInput()
        }
        for link in links {
            link?.end(patience: soon, last: now + patience + .seconds(3))
        }
    }
}

/// Host reports, written by the threads of the links.
private final class FleetBoard: Sendable {
    private let state: Mutex<[HostReport]>
    private let onEvent: @Sendable (AgentFleet.Event) -> Void
    private let hasReportedEnd = Mutex(false)
    private let isSilent = Atomic<Bool>(false)

    init(_ reports: [HostReport], _ onEvent: @escaping @Sendable (AgentFleet.Event) -> Void) {
        state = Mutex(reports)
        self.onEvent = onEvent
    }

    var reports: [HostReport] { state.withLock { $0 } }

    /// Suppresses further failure events: the links are about to be closed.
    func stopReporting() { isSilent.store(true, ordering: .releasing) }

    /// Whether a host has neither answered nor failed.
    var isWaiting: Bool {
        reports.contains { $0.cores == nil && $0.failure == nil && !$0.isOver }
    }

    func take(_ line: String, _ place: Int) {
        guard let event = AgentEvent(line: line) else {
            return change(place) { $0.take(otherLine: line) }
        }
        change(place) { $0.take(event) }
        switch (event.kind, event.name) {
        case (.said, let name?):
            onEvent(.said(worker: name, line: event.text ?? ""))
        case (.ended, let name?):
            onEvent(
                .ended(
                    worker: name,
                    process: event.process?.id ?? 0,
                    account: event.text ?? "\(name) ended"
                )
            )
        default: break
        }
    }

    func change(_ place: Int, _ body: (inout HostReport) -> Void) {
        let (failure, expectedJoins, name) = state.withLock { reports in
            let before = reports[place].failure
            body(&reports[place])
            let after = reports[place].failure
            return (
                before == nil ? after : nil, reports.reduce(0) { $0 + $1.expectedJoins },
                reports[place].host
            )
        }
        if let failure, !isSilent.load(ordering: .acquiring) {
            onEvent(.failed(host: name, reason: failure))
        }
        guard expectedJoins == 0 else { return }
        let isFirst = hasReportedEnd.withLock { told in
            defer { told = true }
            return !told
        }
        if isFirst { onEvent(.noWorkersLeft) }
    }
}
