import Engine
import Protocol

/// What is known of one host whose agent was called. Lines in, no I/O.
package struct HostReport: Equatable, Sendable {
    package let host: String
    /// What was started to reach it.
    package let command: [String]
    package let task: AgentRequest.Task
    /// Workers that it shall run.
    package let expected: [String]
    package private(set) var cores: Int?
    package private(set) var started: [String: ProcessIdentity] = [:]
    /// Workers that have ended, and how.
    package private(set) var ended: [String: String] = [:]
    /// Of processes that were looked at or stopped: whether they run, and what is said of them.
    package private(set) var states: [String: State] = [:]
    /// Whether everything asked for was done.
    package private(set) var isDone = false
    /// Whether the link is gone.
    package private(set) var isOver = false
    /// Why the host is of no use.
    package private(set) var failure: String?
    /// The last line that no agent wrote.
    private var lastWords: String?

    package struct State: Equatable, Sendable {
        package let isAlive: Bool
        package let text: String?
    }

    package init(
        host: String,
        command: [String],
        task: AgentRequest.Task,
        expected: [String]
    ) {
        (self.host, self.command, self.task, self.expected) = (host, command, task, expected)
    }

    /// Workers that may still join.
    package var expectedJoins: Int {
        failure != nil || isOver ? 0 : expected.count - ended.count
    }

    package mutating func take(_ event: AgentEvent) {
        switch event.kind {
        case .hello: cores = event.cores
        case .started:
            if let name = event.name, let process = event.process { started[name] = process }
        case .said: break
        case .ended:
            if let name = event.name { ended[name] = event.text ?? "\(name) ended" }
        case .state:
            if let name = event.name {
                states[name] = State(isAlive: event.isAlive ?? false, text: event.text)
            }
        case .done: isDone = true
        case .failed: failure = event.text ?? "its agent failed"
        }
    }

    /// Takes a line of others: of ssh, a login shell, or a program that is not Tessera.
    package mutating func take(strange line: String) { lastWords = line }

    /// The process that carried the link has ended.
    package mutating func end(_ ending: String) {
        isOver = true
        guard failure == nil else { return }
        // A worker that came and went has its own account.
        let isLost = task == .run && ended.count < expected.count
        if cores == nil || !isDone || isLost { fail("it \(ending)") }
    }

    package mutating func fail(_ reason: String) {
        guard failure == nil else { return }
        let words = lastWords.map { "\($0); " } ?? ""
        failure = "\(words)\(reason). The launch command was: \(ShellWords.join(command))"
    }

    package mutating func finish() { isOver = true }
}
