import Engine
import Protocol

/// What is known about one host whose agent was called, collected from the agent's lines without I/O.
package struct HostReport: Equatable, Sendable {
    package let host: String
    /// The command that was run to reach it.
    package let command: [String]
    package let task: AgentRequest.Task
    /// Names of the workers that it should run.
    package let expected: [String]
    /// Those of them that an earlier command left running; they may join even if the host cannot be reached.
    package let leftRunning: [String]
    package private(set) var cores: Int?
    package private(set) var started: [String: ProcessIdentity] = [:]
    /// Workers that have ended, and how.
    package private(set) var ended: [String: String] = [:]
    /// Workers that have ended and are about to be restarted, and how they ended.
    package private(set) var returning: [String: String] = [:]
    /// Processes that were checked or stopped: whether they are running, and their messages.
    package private(set) var states: [String: State] = [:]
    /// The last line that each worker wrote.
    package private(set) var said: [String: String] = [:]
    /// Whether the whole request was fulfilled.
    package private(set) var isDone = false
    /// Whether the link to the agent has closed.
    package private(set) var isOver = false
    /// Why the host cannot be used.
    package private(set) var failure: String?
    /// Identities of the processes that were checked.
    private var processes: [String: ProcessIdentity] = [:]
    /// The last line that did not come from an agent.
    private var lastLine: String?

    package struct State: Equatable, Sendable {
        package let isAlive: Bool
        package var isStopped = false
        package let text: String?
    }

    package init(
        host: String,
        command: [String],
        task: AgentRequest.Task,
        expected: [String],
        leftRunning: [String] = []
    ) {
        (self.host, self.command, self.task, self.expected) = (host, command, task, expected)
        self.leftRunning = leftRunning
    }

    /// Number of workers that may still join.
    package var expectedJoins: Int {
        guard failure != nil || isOver else { return expected.count - ended.count }
        return leftRunning.count { ended[$0] == nil && states[$0]?.isAlive != false }
    }

    /// The process of a worker, if known.
    package func process(of name: String) -> ProcessIdentity? { started[name] ?? processes[name] }

    package mutating func take(_ event: AgentEvent) {
        switch event.kind {
        case .hello: cores = event.cores
        case .started:
            if let name = event.name, let process = event.process {
                started[name] = process
                returning[name] = nil
            }
        case .said: if let name = event.name { said[name] = event.text }
        case .ended:
            guard let name = event.name else { break }
            let account = event.text ?? "\(name) ended"
            if event.willReturn == true {
                returning[name] = account
            } else {
                (returning[name], ended[name]) = (nil, account)
            }
        case .state:
            if let name = event.name {
                states[name] = State(
                    isAlive: event.isAlive ?? false,
                    isStopped: event.isStopped ?? false,
                    text: event.text
                )
                if let process = event.process { processes[name] = process }
            }
        case .done: isDone = true
        case .failed: failure = event.text ?? "its agent failed"
        }
    }

    /// Takes a line from another program: ssh, a login shell, or one that is not Tessera.
    package mutating func take(otherLine line: String) { lastLine = line }

    /// Called when the process that carried the link has ended.
    package mutating func end(_ ending: String) {
        isOver = true
        guard failure == nil else { return }
        // A worker that started and then ended is reported on its own.
        let isLost = task == .run && ended.count < expected.count
        if cores == nil || !isDone || isLost { fail("it \(ending)") }
    }

    package mutating func fail(_ reason: String) {
        guard failure == nil else { return }
        let words = lastLine.map { "\($0); " } ?? ""
        failure = "\(words)\(reason). The launch command was: \(ShellWords.join(command))"
    }

    package mutating func finish() { isOver = true }
}
