import Glibc
import Protocol
import Synchronization

/// Standard output, for several threads.
final class AgentEventWriter: Sendable {
    private let lock = Mutex(())

    func write(_ event: AgentEvent) {
        guard let line = try? event.line() else { return }
        lock.withLock { _ in
            // Whoever listened may be gone: that is known from the input.
            _ = StandardStreams.write(line, to: STDOUT_FILENO)
        }
    }
}
