import Protocol
import Synchronization

/// A relay's connection to the coordinator for one worker, and the thread that owns it.
final class RelayLink: Sendable {
    /// Events that the link reports.
    enum Event: Sendable {
        case message([[UInt8]])
        case rejected(Rejection)
        /// The connection was lost and re-established: earlier requests to the coordinator may have been lost.
        case reconnected
        /// What prevents a connection through the proxy.
        case obstructed(String)
        /// The link has ended: the coordinator does not read, or the connection failed.
        case ended(String)
    }

    private enum Order: Sendable {
        case send([[UInt8]])
        case stop
    }

    /// Bytes in transit: from the worker and not yet sent, and from the coordinator and not yet passed on.
    private final class Waiting: Sendable {
        let up = Atomic<Int>(0)
        let down = Atomic<Int>(0)
    }

    private let mailbox: Mailbox<Order>
    private let waiting: Waiting
    private let thread: NamedThread

    /// Limit on bytes in transit in one direction; above it, nothing more is accepted.
    private static let maxWaiting = 8 << 20

    /// How many messages ZeroMQ buffers from the network; model files come in pieces of 1 MiB.
    private static let limits: FrameLimits = {
        var limits = FrameLimits()
        limits.waiting = 8
        return limits
    }()

    /// - Parameters:
    ///   - endpoint: the coordinator's
    ///   - security: the relay's key and the coordinator's
    ///   - context: the context shared by all links
    ///   - report: called with events, on the link's thread
    /// - Throws: `SocketError`
    init(
        _ endpoint: Endpoint,
        _ security: Security,
        in context: SocketContext,
        report: @escaping @Sendable (Event) -> Void
    ) throws {
        let (mailbox, waiting) = (try Mailbox<Order>(), Waiting())
        (self.mailbox, self.waiting) = (mailbox, waiting)
        thread = NamedThread("relay link", stack: 1 << 20) {
            do {
                let socket = try Socket(
                    .dealer,
                    in: context,
                    security: security,
                    limits: Self.limits
                )
                try socket.connect(endpoint)
                try Self.run(socket, mailbox, waiting, report)
            } catch {
                report(.ended("\(error)"))
            }
        }
    }

    /// Sends a message to the coordinator.
    ///
    /// - Returns: false if too much is in transit already; then nothing is sent
    func send(_ frames: [[UInt8]]) -> Bool {
        let bytes = frames.byteCount
        guard waiting.up.load(ordering: .relaxed) <= Self.maxWaiting else { return false }
        waiting.up.add(bytes, ordering: .relaxed)
        mailbox.post(.send(frames))
        return true
    }

    /// Called when a message from the coordinator was passed on or dropped.
    func passedOn(_ bytes: Int) {
        let before = waiting.down.subtract(bytes, ordering: .relaxed).oldValue
        if before > Self.maxWaiting { mailbox.wakeup.signal() }
    }

    /// Stops the link once everything queued has been sent. The thread ends by itself.
    func stop() { mailbox.post(.stop) }

    /// Waits until the link has ended. Call once, after `stop`.
    func join() { thread.join() }

    private static func run(
        _ socket: borrowing Socket,
        _ mailbox: Mailbox<Order>,
        _ waiting: Waiting,
        _ report: (Event) -> Void
    ) throws {
        while true {
            // Stop reading if too much is in transit: the network's flow control then slows the coordinator down.
            if waiting.down.load(ordering: .relaxed) > maxWaiting {
                mailbox.wakeup.wait(for: .milliseconds(500))
            } else {
                try socket.wait(mailbox.wakeup, for: .milliseconds(500))
                try receive(from: socket, waiting, report)
            }
            for order in mailbox.take() {
                guard case .send(let frames) = order else { return }
                guard try socket.send(frames) == .sent else {
                    return report(.ended("the coordinator does not read what is sent to it"))
                }
                waiting.up.subtract(frames.byteCount, ordering: .relaxed)
            }
            let changes = try socket.connectionChanges()
            for rejection in changes.rejections { report(.rejected(rejection)) }
            if changes.isReconnected { report(.reconnected) }
            if let obstacle = socket.obstacle() { report(.obstructed(obstacle)) }
        }
    }

    private static func receive(
        from socket: borrowing Socket,
        _ waiting: Waiting,
        _ report: (Event) -> Void
    ) throws {
        while waiting.down.load(ordering: .relaxed) <= maxWaiting {
            switch try socket.receive() {
            case .nothing: return
            case .oversized: return report(.ended("the coordinator sent too many frames"))
            case .message(let frames):
                waiting.down.add(frames.byteCount, ordering: .relaxed)
                report(.message(frames))
            }
        }
    }
}

extension [[UInt8]] {
    /// Total bytes of all frames.
    var byteCount: Int { reduce(0) { $0 + $1.count } }
}
