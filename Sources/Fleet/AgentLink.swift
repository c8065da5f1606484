import Engine
import Foundation
import Glibc
import Protocol
import Synchronization

/// An agent on a host, from the coordinator's side: a process of this machine, ssh for example, that
/// carries its standard input and output.
final class AgentLink: Sendable {
    private let child: ChildProcess
    private let pipe: PrivatePipe
    private let isOpen = Mutex(true)

    /// Starts the command and sends the request.
    ///
    /// - Parameters:
    ///   - command: program and arguments
    ///   - host: for people
    ///   - request: what the agent should do
    ///   - onLine: called with each line, on a thread of its own
    ///   - onEnd: called once, after the last line
    /// - Throws: `InputError` when it cannot be started or the request is too long
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
            // The pipe's buffer holds it all: this does not wait for a reader.
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
        // The reading end is open here too, so that there is no SIGPIPE when the other side has gone.
        isOpen.withLock { isOpen in
            if isOpen { _ = write(pipe.writing, "keep\n", 5) }
        }
    }

    /// Closes the agent's input, which ends its work.
    func closeInput() {
        isOpen.withLock { isOpen in
            guard isOpen else { return }
            isOpen = false
            close(pipe.writing)
            close(pipe.reading)
        }
    }

    /// Waits until it has ended by itself; then sends SIGHUP, and at last SIGKILL.
    ///
    /// - Parameters:
    ///   - patience: time before SIGHUP
    ///   - last: time before SIGKILL
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
