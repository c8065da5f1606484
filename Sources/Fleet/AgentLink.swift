import Engine
import Foundation
import Glibc
import Protocol
import Synchronization

/// An agent on a host, as seen by the coordinator: a local process, such as ssh, that carries the agent's standard
/// input and output.
final class AgentLink: Sendable {
    private let child: ChildProcess
    private let pipe: PrivatePipe
    private let isOpen = Mutex(true)

    /// Starts the command and sends the request.
    ///
    /// - Parameters:
    ///   - command: program and arguments
    ///   - host: name of the host, for messages
    ///   - request: what the agent should do
    ///   - onLine: called with each line, on a separate thread
    ///   - onEnd: called once, after the last line
    /// - Throws: `InputError` if it cannot be started or the request is too long
    init(
        _ command: [String],
        host: String,
        request: AgentRequest,
        onLine: @escaping @Sendable (String) -> Void,
        onEnd: @escaping @Sendable (ChildProcess.Ending) -> Void
    ) throws {
        let line = try request.line()
        guard line.count <= AgentRequest.maxLength else {
            throw InputError(
                host,
                "its request has \(line.count) bytes",
                fix: "Use a shorter environment, at most \(AgentRequest.maxLength) bytes"
            )
        }
        pipe = try PrivatePipe()
        do {
            // The request fits into the pipe's buffer, so this does not block.
            guard write(pipe.writing, line, line.count) == line.count else {
                throw SocketError("write", code: errno)
            }
            child = try ChildProcess(
                command[0],
                Array(command.dropFirst()),
                name: host,
                lifeline: pipe.reading,
                maxLineLength: AgentEvent.maxLength,
                onLine: onLine,
                onEnd: { _, ending in onEnd(ending) }
            )
        } catch {
            close(pipe.reading)
            close(pipe.writing)
            throw error
        }
    }

    /// Tells the agent to keep its workers running.
    func keep() {
        // The read end is also open here, so that there is no SIGPIPE if the agent has gone.
        isOpen.withLock { isOpen in
            if isOpen { _ = write(pipe.writing, "keep\n", 5) }
        }
    }

    /// Closes the agent's input, which tells it to stop.
    func closeInput() {
        isOpen.withLock { isOpen in
            guard isOpen else { return }
            isOpen = false
            close(pipe.writing)
            close(pipe.reading)
        }
    }

    /// Waits until the agent has ended by itself; then closes its input, and finally sends SIGKILL.
    ///
    /// - Parameters:
    ///   - patience: when to close its input
    ///   - last: when to send SIGKILL
    func end(patience: ContinuousClock.Instant, last: ContinuousClock.Instant) {
        if !child.wait(until: patience) {
            closeInput()
            if !child.wait(until: last) {
                child.signal(SIGKILL)
                child.wait()
            }
        }
        closeInput()
    }

    func kill() { child.signal(SIGKILL) }
}
