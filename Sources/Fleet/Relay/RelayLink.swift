import Protocol
import Synchronization

/// A relay's connection to the coordinator for one worker, and the thread that owns it.
final class RelayLink: Sendable {
    /// What it reports.
    enum Event: Sendable {
        case message([[UInt8]])
        case rejected(Rejection)
        /// The connection was lost and is there again: what the coordinator was asked before may be lost with it.
        case reconnected
        /// What keeps the proxy from connecting it.
        case obstructed(String)
        /// The coordinator does not read, or the connection failed: it has ended.
        case ended(String)
    }

    private enum Order: Sendable {
        case send([[UInt8]])
        case stop
    }

    /// Bytes on their way: from the worker and not sent yet, from the coordinator and not passed on yet.
    private final class Waiting: Sendable {
        let up = Atomic<Int>(0)
        let down = Atomic<Int>(0)
    }

    private let mailbox: Mailbox<Order>
    private let waiting: Waiting
    private let thread: NamedThread

    /// Bytes on their way in one direction, at which nothing more is taken.
    private static let maxWaiting = 8 << 20

    /// What ZeroMQ takes from the network before it is asked for, in messages: the model's files come in pieces of 1 MiB.
    private static let limits: FrameLimits = {
        var limits = FrameLimits()
        limits.waiting = 8
        return limits
    }()

    /// - Parameters:
    ///   - endpoint: the coordinator's
    ///   - security: the relay's key and the coordinator's
    ///   - context: of all links
    ///   - report: takes events, on the link's thread
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
    /// - Returns: false if too much waits already: nothing is sent then
    func send(_ frames: [[UInt8]]) -> Bool {
        let bytes = frames.byteCount
        guard waiting.up.load(ordering: .relaxed) <= Self.maxWaiting else { return false }
        waiting.up.add(bytes, ordering: .relaxed)
        mailbox.post(.send(frames))
        return true
    }

    /// A message from the coordinator was passed on, or dropped.
    func passedOn(_ bytes: Int) {
        let before = waiting.down.subtract(bytes, ordering: .relaxed).oldValue
        if before > Self.maxWaiting { mailbox.wakeup.signal() }
    }

    /// Ends it, after what was to be sent. The thread ends on its own.
    func stop() { mailbox.post(.stop) }

    /// Waits until it has ended. Call once, after `stop`.
    func join() { thread.join() }

    private static func run(
        _ socket: borrowing Socket,
        _ mailbox: Mailbox<Order>,
        _ waiting: Waiting,
        _ report: (Event) -> Void
    ) throws {
        while true {
            // Where too much waits, the network's own flow control holds the coordinator up.
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
    /// Of all frames.
    var byteCount: Int { reduce(0) { $0 + $1.count } }
}
