import Engine
import Foundation
import Protocol
import Testing

@Suite struct SocketTests {
    /// Waits for a message on a socket.
    private func next(_ socket: borrowing Socket) throws -> [[UInt8]] {
        let wakeup = try Wakeup()
        let deadline = ContinuousClock.now + .seconds(10)
        while ContinuousClock.now < deadline {
            if case .message(let frames) = try socket.receive() { return frames }
            try socket.wait(wakeup, for: .milliseconds(50))
        }
        Issue.record("no message came")
        return []
    }

    @Test func framesTravelBothWays() throws {
        let context = try SocketContext()
        let directory = try PrivateDirectory()
        let router = try Socket(.router, in: context)
        let endpoint = try router.bind(directory.endpoint)
        let dealer = try Socket(.dealer, in: context)
        try dealer.connect(endpoint)
        #expect(try dealer.send([[1], [], [2, 3]]) == .sent)
        let got = try next(router)
        #expect(got.dropFirst() == [[1], [], [2, 3]])
        #expect(try router.send([got[0], [4]]) == .sent)
        #expect(try next(dealer) == [[4]])
        #expect(try router.send([[0, 9, 9, 9, 9], [4]]) == .unreachable)
    }

    /// ZeroMQ itself would take over the path.
    @Test func aPathIsForOneListener() throws {
        let context = try SocketContext()
        let directory = try PrivateDirectory()
        do {
            let first = try Socket(.router, in: context)
            _ = try first.bind(directory.endpoint)
            let second = try Socket(.router, in: context)
            let taken = #expect(throws: EndpointTaken.self) {
                try second.bind(directory.endpoint)
            }
            #expect(taken?.endpoint == directory.endpoint)
            withExtendedLifetime(first) {}
        }
        // The file that an ended listener leaves is not in the way.
        let path = try #require(directory.endpoint.path)
        unlink(path)
        try Data().write(to: URL(fileURLWithPath: path))
        let third = try Socket(.router, in: context)
        #expect(throws: Never.self) { try third.bind(directory.endpoint) }
    }

    @Test func tooManyFramesAreNotKept() throws {
        let context = try SocketContext()
        let router = try Socket(.router, in: context)
        let endpoint = try router.bind(Endpoint("tcp://127.0.0.1:0"))
        #expect(!endpoint.address.hasSuffix(":0"))
        let dealer = try Socket(.dealer, in: context)
        try dealer.connect(endpoint)
        #expect(try dealer.send([[UInt8]](repeating: [7], count: 500)) == .sent)
        #expect(try dealer.send([[8]]) == .sent)
        let wakeup = try Wakeup()
        var sawOversized = false
        while !sawOversized {
            if case .oversized = try router.receive() { sawOversized = true }
            try router.wait(wakeup, for: .milliseconds(50))
        }
        #expect(try next(router).dropFirst() == [[8]])
    }

    @Test func anEndpointInUseIsTaken() throws {
        let context = try SocketContext()
        let first = try Socket(.router, in: context)
        let endpoint = try first.bind(Endpoint("tcp://127.0.0.1:0"))
        let second = try Socket(.router, in: context)
        #expect(throws: EndpointTaken(endpoint: endpoint)) { try second.bind(endpoint) }
    }

    @Test func aMailboxWakesItsReader() throws {
        let mailbox = try Mailbox<Int>()
        let thread = NamedThread("poster") { for i in 0..<100 { mailbox.post(i) } }
        var got: [Int] = []
        while got.count < 100 {
            mailbox.wakeup.wait(for: .seconds(10))
            got += mailbox.take()
        }
        thread.join()
        #expect(got == Array(0..<100))
    }

    @Test func privateDirectoriesArePrivateAndGoAway() throws {
        let directory = try PrivateDirectory()
        let path = try #require(directory.endpoint.path)
        #expect(path.utf8.count <= 107)
        let folder = (path as NSString).deletingLastPathComponent
        let attributes = try FileManager.default.attributesOfItem(atPath: folder)
        #expect(attributes[.posixPermissions] as? Int == 0o700)
        #expect(FileManager.default.createFile(atPath: path, contents: nil))
        directory.remove()
        #expect(!FileManager.default.fileExists(atPath: folder))
    }

    @Test func onlyOwnDirectoriesAreRemoved() throws {
        let folder = "/tmp/other-\(getpid())"
        try FileManager.default.createDirectory(
            atPath: folder,
            withIntermediateDirectories: false
        )
        defer { rmdir(folder) }
        PrivateDirectory.remove(socket: "\(folder)/coordinator")
        #expect(FileManager.default.fileExists(atPath: folder))
    }
}
