import CZeroMQ
import Foundation
import Glibc
import Synchronization

/// An `eventfd` in the poll set of a socket's thread, through which other threads wake it.
package final class Wakeup: Sendable {
    package let descriptor: Int32

    package init() throws(SocketError) {
        descriptor = tessera_eventfd()
        guard descriptor >= 0 else { throw SocketError("eventfd", code: errno) }
    }

    deinit { close(descriptor) }

    /// Makes the descriptor readable.
    package func signal() {
        var one: UInt64 = 1
        // Fails only if the counter is at its maximum, and then the descriptor is readable anyway.
        _ = write(descriptor, &one, 8)
    }

    /// Waits until it is signalled or the timeout expires.
    package func wait(for time: Duration) {
        var item = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        _ = poll(&item, 1, Int32(max(0, min(time.milliseconds + 1, 60_000))))
    }

    /// Makes the descriptor unreadable again.
    package func clear() {
        var count: UInt64 = 0
        _ = read(descriptor, &count, 8)
    }
}

/// Messages for a thread that waits in `Socket.wait`.
package final class Mailbox<Message: Sendable>: Sendable {
    private let messages = Mutex<[Message]>([])
    package let wakeup: Wakeup

    package init() throws(SocketError) {
        wakeup = try Wakeup()
    }

    /// Adds a message and wakes the thread.
    package func post(_ message: Message) {
        messages.withLock { $0.append(message) }
        wakeup.signal()
    }

    /// Takes all messages, in the order of posting.
    package func take() -> [Message] {
        wakeup.clear()
        return messages.withLock { messages in
            defer { messages = [] }
            return messages
        }
    }
}
