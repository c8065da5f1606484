import Foundation
import Protocol
import Testing

/// Sockets that reach the other side through a SOCKS5 proxy.
@Suite struct SocksTests {
    /// Listens on any port of the loopback interface.
    private static func bind(_ router: borrowing Socket) throws -> Endpoint {
        try router.bind(try Endpoint("tcp://127.0.0.1:0"))
    }

    private func next(_ socket: borrowing Socket, within time: Duration = .seconds(20)) throws
        -> [[UInt8]]?
    {
        let wakeup = try Wakeup()
        let deadline = ContinuousClock.now + time
        while ContinuousClock.now < deadline {
            if case .message(let frames) = try socket.receive() { return frames }
            try socket.wait(wakeup, for: .milliseconds(50))
        }
        return nil
    }

    private func through(_ port: UInt16, to endpoint: Endpoint) throws -> Endpoint {
        try endpoint.through(SocksProxy("127.0.0.1:\(port)"), reach: .network)
    }

    /// The error that a dealer meets; it is closed afterwards, which must not end the process.
    private func obstacle(_ port: UInt16, to endpoint: Endpoint, within time: Duration) throws
        -> String?
    {
        let dealer = try Socket(.dealer, in: SocketContext())
        try dealer.connect(through(port, to: endpoint))
        _ = try dealer.send([[1]])
        let deadline = ContinuousClock.now + time
        while ContinuousClock.now < deadline {
            if let obstacle = dealer.obstacle() { return obstacle }
            usleep(20_000)
        }
        return nil
    }

    @Test func framesTravelBothWays() throws {
        let router = try Socket(.router, in: SocketContext())
        let endpoint = try Self.bind(router)
        let proxy = try FakeProxy(.passing)
        defer { proxy.stop() }
        let dealer = try Socket(.dealer, in: SocketContext())
        try dealer.connect(through(proxy.port, to: endpoint))
        // More than is in flight at once.
        let large = (0..<3_000_000).map { UInt8(truncatingIfNeeded: $0 * 7 % 251) }
        let isSent = try dealer.send([[1], large]) == .sent
        #expect(isSent)
        let got = try #require(try next(router))
        #expect(got.dropFirst() == [[1], large])
        let isAnswered = try router.send([got[0], large, [4]]) == .sent
        #expect(isAnswered)
        let back = try next(dealer)
        #expect(back == [large, [4]])
    }

    /// What was sent last still gets through when the socket is closed.
    @Test func nothingIsLostAtTheEnd() throws {
        let router = try Socket(.router, in: SocketContext())
        let endpoint = try Self.bind(router)
        let proxy = try FakeProxy(.passing)
        defer { proxy.stop() }
        do {
            let dealer = try Socket(.dealer, in: SocketContext())
            try dealer.connect(through(proxy.port, to: endpoint))
            _ = try dealer.send([[1]])
            _ = try next(router)
            _ = try dealer.send([[2]])
        }
        let last = try next(router)
        #expect(last?.last == [2])
    }

    /// The error names a proxy that fails and what is wrong, and the socket is closed like any other.
    @Test(arguments: [
        (FakeProxy.Manner.refusing, "it cannot reach the coordinator: the connection was refused"),
        (.wantingPassword, "it requires a password"),
        (.web, "the server there is not a SOCKS5 proxy"),
        (.closing, "it closed the connection"),
    ])
    func proxiesThatFail(manner: FakeProxy.Manner, reason: String) throws {
        let router = try Socket(.router, in: SocketContext())
        let endpoint = try Self.bind(router)
        let proxy = try FakeProxy(manner)
        defer { proxy.stop() }
        let found = try obstacle(proxy.port, to: endpoint, within: .seconds(20))
        #expect(found?.hasPrefix("the SOCKS proxy 127.0.0.1:\(proxy.port): \(reason)") == true)
        withExtendedLifetime(router) {}
    }

    @Test func aProxyThatIsNotThere() throws {
        let router = try Socket(.router, in: SocketContext())
        let endpoint = try Self.bind(router)
        let proxy = try FakeProxy(.closing)
        proxy.stop()
        let found = try obstacle(proxy.port, to: endpoint, within: .seconds(20))
        #expect(found?.hasSuffix("Connection refused") == true)
        withExtendedLifetime(router) {}
    }

    /// Closing the socket does not wait for a silent proxy.
    @Test func aSilentProxyHoldsNothingUp() throws {
        let router = try Socket(.router, in: SocketContext())
        let endpoint = try Self.bind(router)
        let proxy = try FakeProxy(.silent)
        defer { proxy.stop() }
        let start = ContinuousClock.now
        let found = try obstacle(proxy.port, to: endpoint, within: .seconds(1))
        #expect(found == nil)
        #expect(ContinuousClock.now - start < .seconds(10))
        withExtendedLifetime(router) {}
    }

    /// The proxy is killed, is away for a while, and comes back: so does the connection.
    @Test func aProxyMayBeStartedAgain() throws {
        let router = try Socket(.router, in: SocketContext())
        let endpoint = try Self.bind(router)
        let first = try FakeProxy(.passing)
        let dealer = try Socket(.dealer, in: SocketContext())
        try dealer.connect(through(first.port, to: endpoint))
        _ = try dealer.send([[1]])
        let one = try next(router)
        #expect(one?.last == [1])
        first.stop()
        let deadline = ContinuousClock.now + .seconds(20)
        while dealer.obstacle() == nil, ContinuousClock.now < deadline { usleep(20_000) }
        #expect(dealer.obstacle() != nil)
        let second = try FakeProxy(.passing, at: first.port)
        defer { second.stop() }
        _ = try dealer.send([[2]])
        let two = try next(router)
        #expect(two?.last == [2])
        #expect(dealer.obstacle() == nil)
    }
}
