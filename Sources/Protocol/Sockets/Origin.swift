import CZeroMQ
import Glibc

/// Where a message came from.
package struct Origin: Equatable, Sendable {
    /// The key that its sender showed when it connected; nil where nobody shows one.
    package private(set) var key: PublicKey?
    /// Its host's address; empty for processes of this host over `ipc://`.
    package private(set) var address = ""
    /// The connection that brought it; nil if it has ended already.
    package private(set) var connection: Connection?

    init() {}

    /// Reads what ZeroMQ tells of a message (ZeroMQ RFC 27 and the manual of zmq_msg_gets).
    init(of message: inout zmq_msg_t) {
        func property(_ name: String) -> String? {
            zmq_msg_gets(&message, name).map { String(cString: $0) }
        }
        // The gate has checked it: it is the id that the gate gave its owner.
        key = property("User-Id").flatMap(PublicKey.init(checked:))
        let peer = property("Peer-Address") ?? ""
        // Over ipc:// it is the sender's user, group and process.
        let isLocal = peer.hasPrefix(":") && !peer.hasPrefix("::")
        // A socket that speaks IPv6, too, tells IPv4 addresses in this form.
        let mapped = "::ffff:"
        address = isLocal ? "" : String(peer.dropFirst(peer.hasPrefix(mapped) ? mapped.count : 0))
        let descriptor = zmq_msg_get(&message, ZMQ_SRCFD)
        connection = descriptor >= 0 ? Connection(descriptor: descriptor) : nil
    }
}

/// One connection of a socket, to be ended from this side. ZeroMQ cannot end one of many.
package struct Connection: Equatable, Sendable {
    private let descriptor: Int32
    /// Tells it from a later one that got the same descriptor.
    private let inode: UInt64

    /// - Returns: nil unless it is a connection
    init?(descriptor: Int32) {
        var status = stat()
        guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFSOCK else {
            return nil
        }
        (self.descriptor, inode) = (descriptor, UInt64(status.st_ino))
    }

    /// Lets ZeroMQ find the connection closed, as if the other side had hung up.
    func close() {
        guard Connection(descriptor: descriptor) == self else { return }
        shutdown(descriptor, Int32(SHUT_RDWR))
    }
}
