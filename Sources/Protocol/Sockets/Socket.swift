import CZeroMQ
import Engine
import Glibc
import Synchronization

/// A ZeroMQ context.
///
/// `@unchecked Sendable`: `raw` is constant, and a ZeroMQ context may be used from any thread (manual, zmq_ctx_new). Only
/// `deinit` ends it, when nothing refers to it any more.
package final class SocketContext: @unchecked Sendable {
    let raw: UnsafeMutableRawPointer

    /// The version of the loaded ZeroMQ library, and whether it supports encryption.
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

    /// Waits until all sockets are closed and have sent their pending messages, within their linger times.
    deinit {
        while zmq_ctx_term(raw) != 0, zmq_errno() == EINTR {}
    }
}

/// Another process is listening on the endpoint.
package struct EndpointTaken: Error, Equatable, CustomStringConvertible {
    package let endpoint: Endpoint

    package init(endpoint: Endpoint) {
        self.endpoint = endpoint
    }

    /// The same as an input error, if nothing is known about the other process.
    package var inputError: InputError {
        InputError(
            endpoint.address,
            "another process listens there",
            fix: "Choose another endpoint, or end the process that uses it"
        )
    }

    package var description: String { "\(inputError)" }
}

/// The outcome of a send.
package enum Delivery: Equatable, Sendable {
    case sent
    /// The peer's queue is full; nothing was sent.
    case full
    /// There is no such peer; nothing was sent.
    case unreachable
}

/// Owns one socket, on the thread that created it.
package struct Socket: ~Copyable {
    /// The two ends of the protocol.
    package enum Kind {
        /// For the coordinator: every message begins with the peer's routing id.
        case router
        /// For a worker.
        case dealer
    }

    private let raw: UnsafeMutableRawPointer
    // Retains the context until the socket is closed.
    private let context: SocketContext
    private let limits: FrameLimits
    private let gate: Gate?
    private let monitor: HandshakeMonitor
    /// The tunnel that it is connected through, if any.
    private let tunnel = Mutex<SocksTunnel?>(nil)

    /// - Parameters:
    ///   - kind: which end of the protocol it is
    ///   - context: a coordinator with keys needs its own, because the gate belongs to the context
    ///   - security: which peers it admits
    ///   - limits: limits on what it receives
    /// - Throws: `SocketError`
    package init(
        _ kind: Kind,
        in context: SocketContext,
        security: Security = .open,
        limits: FrameLimits = FrameLimits()
    ) throws(SocketError) {
        let type = kind == .router ? ZMQ_ROUTER : ZMQ_DEALER
        // The gate must exist before anybody can connect.
        var gate: Gate?
        if case .coordinator(_, let allowed) = security {
            gate = try Gate(allowed, in: context)
        }
        guard let raw = zmq_socket(context.raw, type) else { throw .last("zmq_socket") }
        do throws(SocketError) {
            try Self.configure(raw, kind, limits)
            try Self.secure(raw, security)
            monitor = try HandshakeMonitor(of: raw, in: context.raw)
        } catch {
            zmq_close(raw)
            throw error
        }
        self.raw = raw
        self.context = context
        self.limits = limits
        self.gate = gate
    }

    private static func secure(
        _ raw: UnsafeMutableRawPointer,
        _ security: Security
    ) throws(SocketError) {
        func set(_ option: Int32, _ key: String) throws(SocketError) {
            // Including the terminating zero, so that it is read as text and not as 32 bytes.
            guard zmq_setsockopt(raw, option, key, key.utf8.count + 1) == 0 else {
                throw .last("zmq_setsockopt(\(option))")
            }
        }
        switch security {
        case .open: break
        case .coordinator(let pair, _):
            var isServer: Int32 = 1
            let size = MemoryLayout<Int32>.size
            guard zmq_setsockopt(raw, ZMQ_CURVE_SERVER, &isServer, size) == 0 else {
                throw .last("zmq_setsockopt(ZMQ_CURVE_SERVER)")
            }
            try set(ZMQ_CURVE_SECRETKEY, pair.secret)
        case .worker(let pair, let coordinator):
            try set(ZMQ_CURVE_SERVERKEY, coordinator.text)
            try set(ZMQ_CURVE_PUBLICKEY, pair.publicKey.text)
            try set(ZMQ_CURVE_SECRETKEY, pair.secret)
        }
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
        // Peers that connect and stay silent are dropped, and no peer can fill the memory with messages.
        try set(ZMQ_HANDSHAKE_IVL, Int32(5000))
        try set(ZMQ_RCVHWM, Int32(limits.waiting))
        if let unsent = limits.unsent { try set(ZMQ_SNDHWM, Int32(unsent)) }
        switch kind {
        case .router:
            // A send to a peer that has gone fails, instead of being dropped silently.
            try set(ZMQ_ROUTER_MANDATORY, Int32(1))
        case .dealer:
            try set(ZMQ_RECONNECT_IVL, Int32(100))
            try set(ZMQ_RECONNECT_IVL_MAX, Int32(5000))
        }
    }

    deinit {
        monitor.stop()
        // According to the manual, the only possible error is that this is not a socket.
        let status = zmq_close(raw)
        precondition(status == 0, "zmq_close: \(zmq_errno())")
        tunnel.withLock { $0 }?.end()
    }

    /// Starts to listen.
    ///
    /// - Returns: the endpoint with the port that the system chose
    /// - Throws: `EndpointTaken` if another process listens there, otherwise `InputError` naming the endpoint
    package borrowing func bind(_ endpoint: Endpoint) throws -> Endpoint {
        // ZeroMQ would take over a path on which somebody else listens.
        if let path = endpoint.path, UnixListener.exists(path) {
            throw EndpointTaken(endpoint: endpoint)
        }
        guard zmq_bind(raw, endpoint.address) == 0 else {
            let error = SocketError.last("zmq_bind")
            if error.code == EADDRINUSE { throw EndpointTaken(endpoint: endpoint) }
            throw InputError(
                endpoint.address,
                "cannot listen on it (\(error))",
                fix: "Choose an address of this machine"
            )
        }
        var text = [CChar](repeating: 0, count: 512)
        var size = text.count
        guard zmq_getsockopt(raw, ZMQ_LAST_ENDPOINT, &text, &size) == 0 else {
            throw SocketError.last("zmq_getsockopt(ZMQ_LAST_ENDPOINT)")
        }
        return Endpoint(checked: String(zeroEnded: text))
    }

    /// Connects now, or as soon as the other side appears. Call once.
    ///
    /// - Throws: `InputError` naming the endpoint, `SocketError`
    package borrowing func connect(_ endpoint: Endpoint) throws {
        var address = endpoint.address
        if let proxy = endpoint.proxy, let host = endpoint.host, let port = endpoint.port {
            let number = host.drop { $0 == "[" }.prefix { $0 != "]" }
            let way = try SocksTunnel(to: String(number), port, through: proxy)
            tunnel.withLock { $0 = way }
            address = way.entrance.address
            // Checking for a path costs nothing, so there is no exponential back-off.
            var pause: Int32 = 0
            let size = MemoryLayout<Int32>.size
            guard zmq_setsockopt(raw, ZMQ_RECONNECT_IVL_MAX, &pause, size) == 0 else {
                throw SocketError.last("zmq_setsockopt(ZMQ_RECONNECT_IVL_MAX)")
            }
        }
        guard zmq_connect(raw, address) == 0 else {
            let error = SocketError.last("zmq_connect")
            throw InputError(
                endpoint.address,
                "cannot connect to it (\(error))",
                fix: "Check its spelling"
            )
        }
    }

    /// What currently keeps a proxy from connecting; nil if nothing is known.
    package borrowing func obstacle() -> String? { tunnel.withLock { $0 }?.obstacle }

    /// Sends all frames or none; never blocks.
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

    /// A received message.
    package enum Arrival {
        case nothing
        case message([[UInt8]])
        /// The message has more frames than the protocol allows; their content was dropped.
        case oversized(first: [UInt8])
    }

    /// Receives the next message; never blocks. On a router the first frame is the routing id.
    package borrowing func receive() throws(SocketError) -> Arrival {
        try receive(knowing: { _ in true }).arrival
    }

    /// Like `receive`, but also returns where a message came from.
    ///
    /// - Parameter isKnown: whether the origin of this routing id is already known
    /// - Returns: the message, and its origin unless that is already known
    /// - Throws: `SocketError`
    package borrowing func receive(
        knowing isKnown: ([UInt8]) -> Bool
    ) throws(SocketError) -> (arrival: Arrival, origin: Origin) {
        var origin = Origin()
        // One more than the limit for the routing id, and another to detect excess frames.
        let frames = try MultipartMessage.receive(raw, maxFrames: limits.frames + 2) {
            id,
            message in
            if !isKnown(id) { origin = Origin(of: &message) }
        }
        guard let frames else { return (.nothing, origin) }
        let isTooLong = frames.count > limits.frames + 1
        return (isTooLong ? .oversized(first: frames[0]) : .message(frames), origin)
    }

    /// The keys that the current lists allow; nil if everybody is allowed.
    package borrowing func allowedKeys() -> Set<PublicKey>? { gate?.current() }

    /// Whether the current lists allow a key; without keys everybody is allowed.
    package borrowing func allows(_ key: PublicKey?) -> Bool {
        guard let gate else { return true }
        return key.map(gate.allows) ?? false
    }

    /// Whether a key belongs to an invitation, which allows nothing but joining.
    package borrowing func invites(_ key: PublicKey?) -> Bool {
        guard let gate, let key else { return false }
        return gate.invites(key)
    }

    /// Closes a connection from this side; no effect if it has already ended.
    package borrowing func disconnect(_ connection: Connection) { connection.close() }

    /// Failed handshakes since the last call, up to a maximum.
    package borrowing func rejections() throws(SocketError) -> [Rejection] {
        try connectionChanges().rejections
    }

    /// Handshakes and accepted connections since the last call, up to a maximum.
    package borrowing func connectionChanges() throws(SocketError) -> ConnectionChanges {
        var changes = try monitor.takeChanges()
        // The same socket's monitor reports the gate's rejections a second time.
        if gate != nil { changes.rejections.removeAll { $0 == .notAllowed(nil) } }
        changes.rejections = (gate?.takeRejections() ?? []) + changes.rejections
        return changes
    }

    /// Waits until a message arrives, the wake-up is signalled or the timeout expires; admits peers meanwhile.
    package borrowing func wait(_ wakeup: Wakeup, for time: Duration) throws(SocketError) {
        var items = [zmq_pollitem_t](repeating: zmq_pollitem_t(), count: gate == nil ? 2 : 3)
        items[0].socket = raw
        items[0].events = Int16(ZMQ_POLLIN)
        items[1].fd = wakeup.descriptor
        items[1].events = Int16(ZMQ_POLLIN)
        let milliseconds = max(0, min(time.milliseconds + 1, 60_000))
        if let gate {
            items[2].socket = gate.raw
            items[2].events = Int16(ZMQ_POLLIN)
        }
        if zmq_poll(&items, Int32(items.count), Int(milliseconds)) < 0 {
            let code = zmq_errno()
            guard code == EINTR else { throw SocketError("zmq_poll", code: code) }
        }
        try gate?.answer()
    }
}
