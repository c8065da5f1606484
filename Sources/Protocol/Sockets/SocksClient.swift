import Glibc

/// Connects through a SOCKS5 proxy without a password.
struct SocksClient: Sendable {
    /// The destination, as a numeric address.
    let host: String
    let port: UInt16
    let proxy: SocksProxy

    /// The outcome of an attempt to connect.
    enum Outcome: ~Copyable {
        /// Connected; the socket is non-blocking.
        case connected(Descriptor)
        case failed(String)
    }

    private struct Problem: Error {
        let text: String
        init(_ text: String) { self.text = text }
    }

    /// Connects to the proxy, and through it to the destination.
    ///
    /// - Parameters:
    ///   - time: timeout
    ///   - wakeup: aborts the attempt when it is signalled
    /// - Returns: the outcome
    func connect(within time: Duration, unless wakeup: Wakeup) -> Outcome {
        let deadline = ContinuousClock.now + time
        do throws(Problem) {
            let socket = try reachProxy(deadline, wakeup)
            try shakeHands(socket.raw, deadline, wakeup)
            return .connected(socket)
        } catch {
            return .failed("the SOCKS proxy \(proxy): \(error.text)")
        }
    }

    /// Tries the addresses that the proxy's name resolves to.
    private func reachProxy(
        _ deadline: ContinuousClock.Instant,
        _ wakeup: Wakeup
    ) throws(Problem) -> Descriptor {
        var hints = addrinfo()
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var list: UnsafeMutablePointer<addrinfo>?
        guard getaddrinfo(proxy.host, proxy.port, &hints, &list) == 0 else {
            throw Problem("its name is not known")
        }
        defer { freeaddrinfo(list) }
        var problem = "its name has no address"
        var next = list
        while let address = next?.pointee {
            next = address.ai_next
            guard let socket = Descriptor.socket(address.ai_family) else { continue }
            var code: Int32 = 0
            if Glibc.connect(socket.raw, address.ai_addr, address.ai_addrlen) != 0 { code = errno }
            if code == EINPROGRESS {
                try wait(for: socket.raw, POLLOUT, deadline, wakeup)
                var size = socklen_t(MemoryLayout<Int32>.size)
                getsockopt(socket.raw, SOL_SOCKET, SO_ERROR, &code, &size)
            }
            guard code != 0 else {
                var one: Int32 = 1
                let size = socklen_t(MemoryLayout<Int32>.size)
                setsockopt(socket.raw, Int32(IPPROTO_TCP), TCP_NODELAY, &one, size)
                setsockopt(socket.raw, SOL_SOCKET, SO_KEEPALIVE, &one, size)
                return socket
            }
            problem = String(cString: strerror(code))
        }
        throw Problem(problem)
    }

    private func shakeHands(
        _ socket: Int32,
        _ deadline: ContinuousClock.Instant,
        _ wakeup: Wakeup
    ) throws(Problem) {
        func ask(_ bytes: [UInt8]) throws(Problem) {
            // A few bytes fit into the empty buffer of a new connection.
            guard send(socket, bytes, bytes.count, Int32(MSG_NOSIGNAL)) == bytes.count else {
                throw Problem("it closed the connection")
            }
        }
        func read(_ count: Int) throws(Problem) -> [UInt8] {
            var bytes: [UInt8] = []
            while bytes.count < count {
                try wait(for: socket, POLLIN, deadline, wakeup)
                var part = [UInt8](repeating: 0, count: count - bytes.count)
                let size = recv(socket, &part, part.count, 0)
                if size < 0, errno == EAGAIN || errno == EINTR { continue }
                guard size > 0 else { throw Problem("it closed the connection") }
                bytes += part.prefix(size)
            }
            return bytes
        }
        guard let request = SocksHandshake.request(host: host, port: port) else {
            throw Problem("\(host) is not an address")
        }
        try ask(SocksHandshake.greeting)
        let choice = try read(SocksHandshake.choiceSize)
        if let problem = SocksHandshake.problem(choice: choice) { throw Problem(problem) }
        try ask(request)
        let head = try read(SocksHandshake.replyHeadSize)
        if let problem = SocksHandshake.problem(reply: head) { throw Problem(problem) }
        _ = try read((SocksHandshake.replySize(head) ?? 0) - SocksHandshake.replyHeadSize)
    }

    private func wait(
        for socket: Int32,
        _ events: Int32,
        _ deadline: ContinuousClock.Instant,
        _ wakeup: Wakeup
    ) throws(Problem) {
        var items = [
            pollfd(fd: socket, events: Int16(events), revents: 0),
            pollfd(fd: wakeup.descriptor, events: Int16(POLLIN), revents: 0),
        ]
        let left = max(.zero, ContinuousClock.now.duration(to: deadline))
        guard poll(&items, 2, Int32(left.milliseconds)) > 0 else {
            throw Problem("it does not answer")
        }
        if items[1].revents != 0 { throw Problem("the attempt was ended") }
    }
}
