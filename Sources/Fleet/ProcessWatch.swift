import Glibc
import Protocol
import Synchronization

/// Reports the state of a host's workers to the agent's requester: which are suspended, which of those started by an
/// earlier agent have ended, and what those write to their logs.
final class ProcessWatch: Sendable {
    private struct Process {
        let known: AgentRequest.Known
        /// Path of its log; nil if whoever started the worker reports its lines.
        let log: String?
        /// Whether this agent started it and therefore reports its end.
        let isOwn: Bool
        var isStopped = false
        var line: String?
        var isFirst = true
        var isOver = false
    }

    private let processes: Mutex<[Process]>
    private let events: AgentEventWriter

    /// - Parameters:
    ///   - leftRunning: workers that an earlier agent started
    ///   - logs: folder of their logs
    ///   - events: writes the agent's events
    init(_ leftRunning: [AgentRequest.Known], logs: String?, _ events: AgentEventWriter) {
        self.events = events
        processes = Mutex(
            leftRunning.map { known in
                Process(
                    known: known,
                    log: logs.map { "\($0)/\(known.name).log" } ?? "",
                    isOwn: false
                )
            }
        )
    }

    /// Watches a worker that this agent started.
    ///
    /// - Parameters:
    ///   - name: name of the worker
    ///   - process: process of the worker
    ///   - log: path of its log, if nothing else reads its output
    func add(_ name: String, _ process: ProcessIdentity, log: String? = nil) {
        let known = AgentRequest.Known(name: name, process: process)
        processes.withLock { $0.append(Process(known: known, log: log, isOwn: true)) }
    }

    /// Checks every second until this process ends.
    func start() {
        _ = NamedThread("watch", stack: 1 << 20) {
            while true {
                usleep(1_000_000)
                self.check()
            }
        }
    }

    /// Reports changes since the last check.
    func check() {
        let changes = processes.withLock { processes in
            processes.indices.compactMap { Self.check(&processes[$0]) }
        }
        for event in changes { events.write(event) }
    }

    private static func check(_ process: inout Process) -> AgentEvent? {
        guard !process.isOver else { return nil }
        let (name, identity) = (process.known.name, process.known.process)
        let line = process.log.flatMap { Agent.lastLines(of: $0).last }
        guard identity.isAlive else {
            process.isOver = true
            guard !process.isOwn else { return nil }
            let words = line.map { "; its last line: \($0)" } ?? ""
            var event = AgentEvent(.ended, name: name, text: "\(name) has ended\(words)")
            event.process = identity
            return event
        }
        let isStopped = identity.isStopped
        // Of the agent's own workers, only suspension is reported here.
        guard isStopped != process.isStopped || line != process.line || process.isFirst else {
            return nil
        }
        (process.isStopped, process.line, process.isFirst) = (isStopped, line, false)
        var event = AgentEvent(.state, name: name, text: line)
        (event.process, event.isAlive, event.isStopped) = (identity, true, isStopped)
        return event
    }
}
