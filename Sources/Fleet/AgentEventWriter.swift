import Glibc
import Protocol
import Synchronization

/// Writes events to standard output; safe to call from several threads.
final class AgentEventWriter: Sendable {
    private let lock = Mutex(())

    func write(_ event: AgentEvent) {
        guard let line = try? event.line() else { return }
        lock.withLock { _ in
            // Ignore errors: that the requester is gone shows on standard input.
            _ = StandardStreams.write(line, to: STDOUT_FILENO)
        }
    }
}
