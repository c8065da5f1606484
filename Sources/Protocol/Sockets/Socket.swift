import CZeroMQ
import Engine
import Glibc

/// A ZeroMQ context.
///
/// `@unchecked Sendable`: the manual says that contexts are thread-safe.
package final class SocketContext: @unchecked Sendable {
    fileprivate let raw: UnsafeMutableRawPointer

    /// The version of ZeroMQ that is loaded, and whether it can encrypt.
    package static var libraryVersion: String {
        var (major, minor, patch): (Int32, Int32, Int32) = (0, 0, 0)
        zmq_version(&major, &minor, &patch)
        let curve = zmq_has("curve") == 1 ? "with CURVE" : "without CURVE"
        return "\(major).\(minor).\(patch), \(curve)"
    }

    package init() throws(SocketError) {
        guard let raw = zmq_ctx_new() else { throw .last("zmq_ctx_new") }
        self.raw = raw
    }

    /// Waits until every socket made in it is closed and has sent what it lingers for.
    deinit {
        while zmq_ctx_term(raw) != 0, zmq_errno() == EINTR {}
    }
}

/// What became of a message.
package enum Delivery: Equatable, Sendable {
    case sent
    /// The peer reads too slowly; nothing was sent.
    case full
    /// There is no such peer; nothing was sent.
    case unreachable
}

/// Owns one socket, on the thread that made it.
package struct Socket: ~Copyable {
    /// The two ends of the protocol.
    package enum Kind {
        /// The coordinator's: every message begins with the peer's routing id.
        case router
        /// A worker's.
        case dealer
    }

    private let raw: UnsafeMutableRawPointer
    // Keeps the context until the socket is closed.
    private let context: SocketContext
    private let limits: FrameLimits

    package init(
        _ kind: Kind,
        in context: SocketContext,
        limits: FrameLimits = FrameLimits()
    ) throws(SocketError) {
        let type = kind == .router ? ZMQ_ROUTER : ZMQ_DEALER
        guard let raw = zmq_socket(context.raw, type) else { throw .last("zmq_socket") }
        do throws(SocketError) {
            try Self.configure(raw, kind, limits)
        } catch {
            zmq_close(raw)
            throw error
        }
        self.raw = raw
        self.context = context
        self.limits = limits
    }

    private static func configure(
        _ raw: UnsafeMutableRawPointer,
        _ kind: Kind,
        _ limits: FrameLimits
    ) throws(SocketError) {
        func set<Value: FixedWidthInteger>(
            _ option: Int32,
            _ value: Value
        ) throws(SocketError) {
            var value = value
            guard zmq_setsockopt(raw, option, &value, MemoryLayout<Value>.size) == 0 else {
                throw .last("zmq_setsockopt(\(option))")
            }
        }
        try set(ZMQ_LINGER, Int32(500))
        try set(ZMQ_MAXMSGSIZE, Int64(limits.tensor))
        try set(ZMQ_IPV6, Int32(1))
        try set(ZMQ_BACKLOG, Int32(512))
        switch kind {
        case .router:
            // A send to a peer that is gone fails instead of vanishing.
            try set(ZMQ_ROUTER_MANDATORY, Int32(1))
        case .dealer:
            try set(ZMQ_RECONNECT_IVL, Int32(100))
            try set(ZMQ_RECONNECT_IVL_MAX, Int32(5000))
        }
    }

    deinit {
        // The manual knows one failure: that this is no socket.
        let status = zmq_close(raw)
        precondition(status == 0, "zmq_close: \(zmq_errno())")
    }

    /// Listens.
    ///
    /// - Returns: the endpoint with its port as chosen by the system
    /// - Throws: `InputError` that names the endpoint
    package borrowing func bind(_ endpoint: Endpoint) throws -> Endpoint {
        guard zmq_bind(raw, endpoint.address) == 0 else {
            let error = SocketError.last("zmq_bind")
            throw InputError(
                endpoint.address,
                "it cannot be listened on (\(error))",
                fix: "Choose another endpoint, or end the process that holds it"
            )
        }
        var text = [CChar](repeating: 0, count: 512)
        var size = text.count
        guard zmq_getsockopt(raw, ZMQ_LAST_ENDPOINT, &text, &size) == 0 else {
            throw SocketError.last("zmq_getsockopt(ZMQ_LAST_ENDPOINT)")
        }
        let bytes = text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
        return Endpoint(checked: String(decoding: bytes, as: UTF8.self))
    }

    /// Connects, now or whenever the other side appears.
    ///
    /// - Throws: `InputError` that names the endpoint
    package borrowing func connect(_ endpoint: Endpoint) throws(InputError) {
        guard zmq_connect(raw, endpoint.address) == 0 else {
            let error = SocketError.last("zmq_connect")
            throw InputError(
                endpoint.address,
                "it cannot be connected to (\(error))",
                fix: "Check its spelling"
            )
        }
    }

    /// Sends all frames or none; never waits.
    package borrowing func send(_ frames: [[UInt8]]) throws(SocketError) -> Delivery {
        for (i, frame) in frames.enumerated() {
            let flags = ZMQ_DONTWAIT | (i + 1 < frames.count ? ZMQ_SNDMORE : 0)
            while zmq_send(raw, frame, frame.count, flags) < 0 {
                let code = zmq_errno()
                if code == EINTR { continue }
                if i == 0, code == EAGAIN { return .full }
                if i == 0, code == EHOSTUNREACH { return .unreachable }
                throw SocketError("zmq_send", code: code)
            }
        }
        return .sent
    }

    /// What has arrived.
    package enum Arrival {
        case nothing
        case message([[UInt8]])
        /// More frames than the protocol has; their content was not kept.
        case oversized(first: [UInt8])
    }

    /// Takes the next message; never waits. The first frame is the routing id on a router.
    package borrowing func receive() throws(SocketError) -> Arrival {
        var frames: [[UInt8]] = []
        var oversized = false
        var message = zmq_msg_t()
        zmq_msg_init(&message)
        defer { zmq_msg_close(&message) }
        repeat {
            while zmq_msg_recv(&message, raw, ZMQ_DONTWAIT) < 0 {
                let code = zmq_errno()
                if code == EINTR { continue }
                if code == EAGAIN, frames.isEmpty { return .nothing }
                throw SocketError("zmq_msg_recv", code: code)
            }
            // One more than the limit, for the routing id.
            if frames.count <= limits.frames {
                frames.append(
                    Array(
                        UnsafeRawBufferPointer(
                            start: zmq_msg_data(&message),
                            count: zmq_msg_size(&message)
                        )
                    )
                )
            } else {
                oversized = true
            }
        } while zmq_msg_more(&message) != 0
        return oversized ? .oversized(first: frames[0]) : .message(frames)
    }

    /// Waits until a message has come, the wake-up is signalled or the time is over.
    package borrowing func wait(_ wakeup: Wakeup, for time: Duration) throws(SocketError) {
        var items = [zmq_pollitem_t(), zmq_pollitem_t()]
        items[0].socket = raw
        items[0].events = Int16(ZMQ_POLLIN)
        items[1].fd = wakeup.descriptor
        items[1].events = Int16(ZMQ_POLLIN)
        let milliseconds = max(0, min(time.milliseconds + 1, 60_000))
        if zmq_poll(&items, 2, Int(milliseconds)) < 0 {
            let code = zmq_errno()
            guard code == EINTR else { throw SocketError("zmq_poll", code: code) }
        }
    }
}
