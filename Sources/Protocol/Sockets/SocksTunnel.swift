import Glibc
import Synchronization

/// Carries one socket's connection through a SOCKS5 proxy, on a separate thread. ZeroMQ connects to a Unix socket on
/// which we listen only while the proxy has a connection for it, so to ZeroMQ the coordinator appears to be either
/// there or not.
///
/// ZeroMQ's own SOCKS client is not used: up to version 4.3.5 it aborts the process if a socket is closed while its
/// proxy does not answer or cannot reach the other side.
final class SocksTunnel: Sendable {
    /// The endpoint that ZeroMQ connects to.
    let entrance: Endpoint
    private let directory: PrivateDirectory
    private let state: State
    private let thread: NamedThread

    /// State shared between the thread and its owner.
    private final class State: Sendable {
        let wakeup: Wakeup
        /// Why the last attempt failed; nil after a success.
        let obstacle = Mutex<String?>(nil)

        init() throws(SocketError) { wakeup = try Wakeup() }

        /// The wake-up is signalled once, to stop the thread, and never cleared.
        func isEnding(after time: Duration = .zero) -> Bool {
            var item = pollfd(fd: wakeup.descriptor, events: Int16(POLLIN), revents: 0)
            return poll(&item, 1, Int32(time.milliseconds)) > 0
        }
    }

    /// Pause between two attempts: initial and maximum (exponential back-off).
    private static let pauses: (first: Duration, last: Duration) = (
        .milliseconds(250), .seconds(4)
    )
    /// Timeout of the proxy, which may take a while to find out that nobody is there.
    private static let patience: Duration = .seconds(20)
    /// How long to wait for ZeroMQ, which tries the path ten times per second.
    private static let welcome: Duration = .seconds(3)
    /// Time to deliver pending bytes after the socket is closed.
    private static let linger: Duration = .seconds(1)

    /// - Parameters:
    ///   - host: the destination, as a numeric address
    ///   - port: the destination's port
    ///   - proxy: the proxy to use
    /// - Throws: `InputError` if no directory for the path can be created, `SocketError`
    init(to host: String, _ port: UInt16, through proxy: SocksProxy) throws {
        let (directory, state) = (try PrivateDirectory(), try State())
        (self.directory, self.state, entrance) = (directory, state, directory.endpoint)
        let path = entrance.path ?? ""
        thread = NamedThread("socks", stack: 1 << 20) {
            Self.run(path, SocksClient(host: host, port: port, proxy: proxy), state)
        }
    }

    /// What currently keeps the tunnel from working.
    var obstacle: String? { state.obstacle.withLock { $0 } }

    /// Stops the tunnel after delivering what was sent.
    func end() {
        state.wakeup.signal()
        thread.join()
        directory.remove()
    }

    private static func run(_ path: String, _ client: SocksClient, _ state: State) {
        var pause = pauses.first
        while !state.isEnding() {
            switch client.connect(within: patience, unless: state.wakeup) {
            case .connected(let far):
                state.obstacle.withLock { $0 = nil }
                if let near = accept(at: path, state) {
                    pause = pauses.first
                    Pump(near.raw, far.raw).run(until: state.wakeup, linger: linger)
                }
            case .failed(let problem): state.obstacle.withLock { $0 = problem }
            }
            _ = state.isEnding(after: pause)
            pause = min(pause * 2, pauses.last)
        }
    }

    /// Waits for ZeroMQ to connect.
    private static func accept(at path: String, _ state: State) -> Descriptor? {
        defer { unlink(path) }
        guard let listener = Descriptor.listener(at: path) else { return nil }
        var items = [
            pollfd(fd: listener.raw, events: Int16(POLLIN), revents: 0),
            pollfd(fd: state.wakeup.descriptor, events: Int16(POLLIN), revents: 0),
        ]
        guard poll(&items, 2, Int32(welcome.milliseconds)) > 0, items[0].revents != 0 else {
            return nil
        }
        guard let connection = Descriptor(Glibc.accept(listener.raw, nil, nil)) else { return nil }
        _ = fcntl(connection.raw, F_SETFD, FD_CLOEXEC)
        _ = fcntl(connection.raw, F_SETFL, O_NONBLOCK)
        return connection
    }
}
