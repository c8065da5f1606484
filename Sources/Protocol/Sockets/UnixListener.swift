import Glibc

/// Checks for listeners on Unix sockets.
enum UnixListener {
    /// Whether a process accepts connections at a path, as opposed to a file left behind by a process that has ended.
    static func exists(_ path: String) -> Bool {
        guard let descriptor = Descriptor.socket(AF_UNIX) else { return false }
        // EAGAIN means that the listener's queue is full.
        return Descriptor.withUnixAddress(path) {
            connect(descriptor.raw, $0, $1) == 0 || errno == EAGAIN
        } ?? false
    }
}
