import Glibc

/// An open file or socket, closed when its owner is destroyed.
struct Descriptor: ~Copyable {
    let raw: Int32

    /// - Returns: nil for a negative number, which failed calls return
    init?(_ raw: Int32) {
        guard raw >= 0 else { return nil }
        self.raw = raw
    }

    deinit { close(raw) }

    /// Creates a non-blocking socket that child processes do not inherit.
    static func socket(_ family: Int32) -> Descriptor? {
        let flags = SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue
        return Descriptor(Glibc.socket(family, Int32(flags), 0))
    }

    /// Listens on a Unix socket path.
    ///
    /// - Returns: nil on failure
    static func listener(at path: String) -> Descriptor? {
        guard let listener = socket(AF_UNIX) else { return nil }
        let isBound = withUnixAddress(path) { bind(listener.raw, $0, $1) == 0 } ?? false
        guard isBound, listen(listener.raw, 1) == 0 else { return nil }
        return listener
    }

    /// - Returns: nil if the path is too long
    static func withUnixAddress<Result>(
        _ path: String,
        _ body: (UnsafePointer<sockaddr>, socklen_t) -> Result
    ) -> Result? {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let bytes = Array(path.utf8)
        guard bytes.count < MemoryLayout.size(ofValue: address.sun_path) else { return nil }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
        return withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                body($0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
    }
}
