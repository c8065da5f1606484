import Glibc

/// Sockets in the file system on which somebody listens.
enum UnixListener {
    /// Whether a process accepts connections at a path. It is told apart from the file that an ended process left.
    static func exists(_ path: String) -> Bool {
        guard let descriptor = Descriptor.socket(AF_UNIX) else { return false }
        // One that is busy listens, too.
        return Descriptor.withUnixAddress(path) {
            connect(descriptor.raw, $0, $1) == 0 || errno == EAGAIN
        } ?? false
    }
}
