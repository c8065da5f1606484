import Coordinator
import Engine
import FakeModel
import Foundation
import Logging
import Protocol
import TestSupport
import Testing

/// What an invitation's key is good for: one request to join.
@Suite struct InvitedPeerTests {
    private let coordinator: KeyPair
    private let invitation: KeyPair
    private let machine: KeyPair

    init() throws {
        coordinator = try KeyPair.new()
        invitation = try KeyPair.new()
        machine = try KeyPair.new()
    }

    /// A coordinator that has made an invitation.
    private func withCluster(_ body: (Cluster, JoinFolder) throws -> Void) throws {
        try inTemporaryFolder { path in
            let folder = JoinFolder(path: path)
            let now = Date().timeIntervalSince1970
            let key = invitation.publicKey
            try folder.change { book in
                try book.add(Invitation(key: key, made: now, ends: now + 600, uses: 1), at: now)
            }
            var configuration = Cluster.Configuration(
                endpoint: try Endpoint("tcp://127.0.0.1:0"),
                model: ModelIdentity(digest: FakeNetworks.digest, path: "/m")
            )
            configuration.security = .coordinator(
                coordinator,
                allowed: try AllowedKeys(file: nil, joined: folder)
            )
            configuration.heartbeat = .milliseconds(50)
            let quiet = Logger(label: "coordinator") { _ in SwiftLogNoOpLogHandler() }
            let cluster = try Cluster(configuration, logger: quiet)
            defer { cluster.stop() }
            try body(cluster, folder)
        }
    }

    /// Sends messages over one connection.
    ///
    /// - Returns: the answers that arrive within `time`, at most `most`
    private func send(
        _ messages: [[[UInt8]]],
        with pair: KeyPair,
        to cluster: Cluster,
        within time: Duration,
        most: Int = 8
    ) throws -> [CoordinatorMessage] {
        let security = Security.worker(pair, coordinator: coordinator.publicKey)
        let dealer = try Socket(.dealer, in: SocketContext(), security: security)
        try dealer.connect(cluster.endpoint)
        for frames in messages { #expect(try dealer.send(frames) == .sent) }
        let wakeup = try Wakeup()
        var answers: [CoordinatorMessage] = []
        let deadline = ContinuousClock.now + time
        while answers.count < most, ContinuousClock.now < deadline {
            try dealer.wait(wakeup, for: .milliseconds(20))
            while case .message(let frames) = try dealer.receive() {
                answers.append(try CoordinatorMessage(frames: frames))
            }
        }
        return answers
    }

    private var request: [[UInt8]] {
        WorkerMessage.join(JoinRequest(key: machine.publicKey, name: "box")).frames
    }

    private var hello: [[UInt8]] {
        let identity = ModelIdentity(digest: FakeNetworks.digest, path: "/m")
        return WorkerMessage.hello(
            .init(
                name: "box",
                model: identity,
                threads: 1,
                processor: "",
                backend: "openblas",
                precision: "f32",
                processID: 1
            )
        ).frames
    }

    private func isNamed(_ answers: [CoordinatorMessage], _ name: String) -> Bool {
        guard answers.count == 1, case .joined(let answer) = answers[0] else { return false }
        return answer.outcome == .joined(name: name)
    }

    @Test func aRequestIsAnsweredAndTheMachineMayWorkAtOnce() throws {
        try withCluster { cluster, folder in
            let answers = try send(
                [request],
                with: invitation,
                to: cluster,
                within: .seconds(20),
                most: 1
            )
            #expect(isNamed(answers, "box"))
            #expect(try folder.book().memberKeys == [machine.publicKey])
            let welcome = try send(
                [hello],
                with: machine,
                to: cluster,
                within: .seconds(20),
                most: 1
            )
            #expect(
                welcome.contains { if case .welcome = $0 { true } else { false } }
            )
            #expect(cluster.statistics.map(\.key) == [machine.publicKey])
        }
    }

    @Test func anythingElseEndsTheConnection() throws {
        try withCluster { cluster, folder in
            let long = WorkerMessage.join(JoinRequest(key: machine.publicKey, name: "b")).frames
            let hostile: [[[UInt8]]] = [
                hello, WorkerMessage.heartbeat.frames, WorkerMessage.ask(1).frames, [[]],
                [[1, 2, 3]], [[UInt8](repeating: 0, count: 2000)], long + [[0]],
                [[UInt8](repeating: 7, count: 8 << 20)],
                Array(repeating: [1], count: 40),
            ]
            for frames in hostile {
                let answers = try send(
                    [frames],
                    with: invitation,
                    to: cluster,
                    within: .milliseconds(100)
                )
                #expect(answers.isEmpty, "\(frames.first?.prefix(8) ?? [])")
            }
            #expect(try folder.book().members.isEmpty)
            #expect(cluster.statistics.isEmpty)
            // The invitation still works for joining; a second request ends the connection, perhaps before the first
            // answer has arrived.
            let answers = try send(
                [request, request],
                with: invitation,
                to: cluster,
                within: .milliseconds(1000)
            )
            #expect(answers.isEmpty || isNamed(answers, "box"), "\(answers.count)")
            #expect(try folder.book().members.count == 1)
        }
    }

    @Test func whoIsRemovedIsTurnedOut() throws {
        try withCluster { cluster, folder in
            _ = try send([request], with: invitation, to: cluster, within: .seconds(20), most: 1)
            let security = Security.worker(machine, coordinator: coordinator.publicKey)
            let dealer = try Socket(.dealer, in: SocketContext(), security: security)
            try dealer.connect(cluster.endpoint)
            #expect(try dealer.send(hello) == .sent)
            let wakeup = try Wakeup()
            var last: CoordinatorMessage?
            func wait(_ isDone: () throws -> Bool) throws -> Bool {
                let deadline = ContinuousClock.now + .seconds(20)
                while ContinuousClock.now < deadline {
                    if try isDone() { return true }
                    try dealer.wait(wakeup, for: .milliseconds(20))
                    while case .message(let frames) = try dealer.receive() {
                        last = try CoordinatorMessage(frames: frames)
                    }
                }
                return false
            }
            #expect(try wait { cluster.statistics.contains(where: \.isActive) })
            _ = try folder.change { $0.remove("box") }
            #expect(try wait { !cluster.statistics.contains(where: \.isActive) })
            #expect(try wait { try dealer.rejections() == [.notAllowed(nil)] })
            // It received the goodbye, and nothing after that.
            #expect(last.map { if case .goodbye(.removed) = $0 { true } else { false } } == true)
        }
    }
}
