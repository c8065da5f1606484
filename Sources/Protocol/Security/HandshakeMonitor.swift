import CZeroMQ
import Synchronization

/// What happened to a socket's connections.
package struct ConnectionChanges: Equatable, Sendable {
    /// Failed handshakes.
    package var rejections: [Rejection] = []
    /// Connections that were accepted and are still open.
    package var opened: [Connection] = []
    /// Whether a lost connection has been re-established: earlier requests may have been lost. Only meaningful for
    /// sockets that connect to a single peer.
    package var isReconnected = false
}

/// Reports handshakes and new connections of a socket.
final class HandshakeMonitor {
    private let socket: UnsafeMutableRawPointer
    private let raw: UnsafeMutableRawPointer
    /// Whether a handshake has succeeded.
    private var wasConnected = false

    private static let count = Atomic<Int>(0)
    private static let events =
        ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL | ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL
        | ZMQ_EVENT_HANDSHAKE_FAILED_AUTH | ZMQ_EVENT_ACCEPTED | ZMQ_EVENT_HANDSHAKE_SUCCEEDED
    /// Maximum number of events read per call.
    private static let maxEvents = 256

    init(
        of socket: UnsafeMutableRawPointer,
        in context: UnsafeMutableRawPointer
    ) throws(SocketError) {
        let number = Self.count.add(1, ordering: .relaxed).newValue
        let address = "inproc://tessera-handshakes-\(number)"
        guard zmq_socket_monitor(socket, address, Self.events) == 0 else {
            throw .last("zmq_socket_monitor")
        }
        guard let raw = zmq_socket(context, ZMQ_PAIR) else { throw .last("zmq_socket") }
        guard zmq_connect(raw, address) == 0 else {
            let error = SocketError.last("zmq_connect(monitor)")
            zmq_close(raw)
            throw error
        }
        (self.socket, self.raw) = (socket, raw)
    }

    /// Call before the socket is closed.
    func stop() {
        zmq_socket_monitor(socket, nil, 0)
        zmq_close(raw)
    }

    /// Events since the last call; never waits.
    func takeChanges() throws(SocketError) -> ConnectionChanges {
        var changes = ConnectionChanges()
        for _ in 0..<Self.maxEvents {
            guard let frames = try MultipartMessage.receive(raw, maxFrames: 2) else { break }
            guard let (event, value) = Self.event(frames[0]) else { continue }
            if event == ZMQ_EVENT_ACCEPTED {
                if let connection = Connection(descriptor: value) {
                    changes.opened.append(connection)
                }
            } else if event == ZMQ_EVENT_HANDSHAKE_SUCCEEDED {
                changes.isReconnected = wasConnected
                wasConnected = true
            } else if let rejection = Self.rejection(event, value) {
                changes.rejections.append(rejection)
            }
        }
        return changes
    }

    /// The number (16 bits) and the value (32 bits) of an event.
    private static func event(_ frame: [UInt8]) -> (event: Int32, value: Int32)? {
        guard frame.count == 6 else { return nil }
        return frame.withUnsafeBytes { bytes in
            (
                Int32(bytes.loadUnaligned(as: UInt16.self)),
                bytes.loadUnaligned(fromByteOffset: 2, as: Int32.self)
            )
        }
    }

    private static func rejection(_ event: Int32, _ value: Int32) -> Rejection? {
        switch event {
        case ZMQ_EVENT_HANDSHAKE_FAILED_AUTH: return .notAllowed(nil)
        case ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL
        where value == ZMQ_PROTOCOL_ERROR_ZMTP_MECHANISM_MISMATCH:
            return .otherMechanism
        case ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL, ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL:
            return .failed
        default: return nil
        }
    }
}

/// Multipart messages on in-process sockets.
enum MultipartMessage {
    /// Receives a message; never waits.
    ///
    /// - Parameters:
    ///   - raw: the socket
    ///   - maxFrames: maximum number of frames to keep
    ///   - inspect: receives the first frame and the second frame's metadata: after a poll, a router's first frame has
    ///     none
    /// - Returns: at most the first `maxFrames` frames; nil if there is no message
    /// - Throws: `SocketError`
    static func receive(
        _ raw: UnsafeMutableRawPointer,
        maxFrames: Int,
        inspect: (_ first: [UInt8], inout zmq_msg_t) -> Void = { _, _ in }
    ) throws(SocketError) -> [[UInt8]]? {
        var frames: [[UInt8]] = []
        var message = zmq_msg_t()
        zmq_msg_init(&message)
        defer { zmq_msg_close(&message) }
        repeat {
            while zmq_msg_recv(&message, raw, ZMQ_DONTWAIT) < 0 {
                let code = zmq_errno()
                if code == EINTR { continue }
                if code == EAGAIN, frames.isEmpty { return nil }
                throw SocketError("zmq_msg_recv", code: code)
            }
            if frames.count < maxFrames {
                let start = zmq_msg_data(&message)
                let bytes = UnsafeRawBufferPointer(start: start, count: zmq_msg_size(&message))
                frames.append(Array(bytes))
                if frames.count == 2 { inspect(frames[0], &message) }
            }
        } while zmq_msg_more(&message) != 0
        return frames
    }

    static func send(
        _ frames: [[UInt8]],
        _ raw: UnsafeMutableRawPointer
    ) throws(SocketError) {
        for (i, frame) in frames.enumerated() {
            let flags = ZMQ_DONTWAIT | (i + 1 < frames.count ? ZMQ_SNDMORE : 0)
            while zmq_send(raw, frame, frame.count, flags) < 0 {
                let code = zmq_errno()
                guard code == EINTR else { throw SocketError("zmq_send", code: code) }
            }
        }
    }
}
