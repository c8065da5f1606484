import CZeroMQ
import Glibc

/// The origin of a message.
package struct Origin: Equatable, Sendable {
    /// The key with which the sender authenticated; nil without authentication.
    package private(set) var key: PublicKey?
    /// The sender's address; empty for processes on this host over `ipc://`.
    package private(set) var address = ""
    /// The connection on which the message arrived; nil if it has already closed.
    package private(set) var connection: Connection?

    init() {}

    /// Reads ZeroMQ's metadata of a message (ZeroMQ RFC 27 and the manual of zmq_msg_gets).
    init(of message: inout zmq_msg_t) {
        func property(_ name: String) -> String? {
            zmq_msg_gets(&message, name).map { String(cString: $0) }
        }
        // Already checked: it is the user id that the gate assigned.
        key = property("User-Id").flatMap(PublicKey.init(checked:))
        let peer = property("Peer-Address") ?? ""
        // Over ipc:// it ends with the sender's uid, gid and pid, preceded by nothing or by this host's name.
        let parts = peer.split(separator: ":", omittingEmptySubsequences: false)
        let isLocal = parts.count == 4 && parts.dropFirst().allSatisfy { UInt32($0) != nil }
        // A socket that also supports IPv6 reports IPv4 addresses in this form.
        let mapped = "::ffff:"
        address = isLocal ? "" : String(peer.dropFirst(peer.hasPrefix(mapped) ? mapped.count : 0))
        let descriptor = zmq_msg_get(&message, ZMQ_SRCFD)
        connection = descriptor >= 0 ? Connection(descriptor: descriptor) : nil
    }
}

/// One connection of a socket, so that it can be closed from this side: ZeroMQ has no call that closes one of many.
package struct Connection: Hashable, Sendable {
    private let descriptor: Int32
    /// Distinguishes the connection from a later one with the same descriptor.
    private let inode: UInt64

    /// - Returns: nil if the descriptor is not a socket
    init?(descriptor: Int32) {
        var status = stat()
        guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFSOCK else {
            return nil
        }
        (self.descriptor, inode) = (descriptor, UInt64(status.st_ino))
    }

    /// Whether the connection is still open.
    package var isOpen: Bool { Connection(descriptor: descriptor) == self }

    /// The peer's address; empty for processes on this host over `ipc://`, nil if the connection has ended.
    package var peerAddress: String? {
        guard isOpen else { return nil }
        var storage = sockaddr_storage()
        var size = socklen_t(MemoryLayout<sockaddr_storage>.size)
        var host = [CChar](repeating: 0, count: Int(NI_MAXHOST))
        let isKnown = withUnsafeMutablePointer(to: &storage) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                guard getpeername(descriptor, address, &size) == 0 else { return false }
                guard address.pointee.sa_family != sa_family_t(AF_UNIX) else { return true }
                let length = socklen_t(host.count)
                return getnameinfo(address, size, &host, length, nil, 0, NI_NUMERICHOST) == 0
            }
        }
        guard isKnown else { return nil }
        return String(zeroEnded: host).replacing("::ffff:", with: "")
    }

    /// Bytes that the peer's system has acknowledged since the connection began; TCP on Linux 4.1 or later only.
    /// Otherwise, and if the connection has ended, nil.
    package var acknowledgedBytes: Int? {
        guard isOpen else { return nil }
        // tcpi_bytes_acked in the kernel's struct tcp_info (linux/tcp.h); Glibc's version of the struct lacks it.
        let offset = 120
        var info = [UInt8](repeating: 0, count: offset + MemoryLayout<UInt64>.size)
        var size = socklen_t(info.count)
        guard getsockopt(descriptor, Int32(IPPROTO_TCP), TCP_INFO, &info, &size) == 0,
            size >= info.count
        else { return nil }
        let bytes = info.withUnsafeBytes {
            $0.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
        }
        return Int(clamping: bytes)
    }

    /// Shuts the connection down, so that ZeroMQ sees it as closed by the peer.
    func close() {
        guard isOpen else { return }
        shutdown(descriptor, Int32(SHUT_RDWR))
    }
}
