import Coordinator
import Engine
import FakeModel
import Foundation
import Protocol
import Synchronization
import Testing
import Worker

/// Bits that flip between a worker and its coordinator, and workers with the previous protocol version.
@Suite(.serialized) struct DamagedMessageTests {
    /// A worker that computes correctly; `change` alters its messages on their way.
    private final class Peer: Sendable {
        let answers = Mutex(0)
        let welcome = Mutex<UInt32?>(nil)
        private let isOver = Mutex(false)
        private let thread = Mutex<NamedThread?>(nil)

        init(
            _ endpoint: Endpoint,
            version: UInt32 = protocolVersion,
            change: @escaping @Sendable (inout [[UInt8]], Int) -> Void
        ) {
            var hello = WorkerMessage.Hello(
                name: "peer",
                model: ModelIdentity(digest: FakeNetworks.digest, path: ""),
                threads: 1,
                processor: "",
                backend: "",
                precision: "",
                processID: getpid()
            )
            hello.version = version
            let first = WorkerMessage.hello(hello).frames
            thread.withLock {
                $0 = NamedThread("peer") { [self] in
                    guard let socket = try? Socket(.dealer, in: SocketContext()),
                        (try? socket.connect(endpoint)) != nil
                    else { return }
                    var embeddings: [EmbeddingDigest: Embedding] = [:]
                    var tasks: [CoordinatorMessage.Task] = []
                    func send(_ message: WorkerMessage) {
                        var frames = message.frames
                        if case .answer = message {
                            let count = answers.withLock { count in
                                count += 1
                                return count
                            }
                            change(&frames, count)
                        } else {
                            change(&frames, 0)
                        }
                        _ = try? socket.send(frames)
                    }
                    _ = try? socket.send(first)
                    let evaluator = Evaluator(FakeNetworks())
                    while !isOver.withLock({ $0 }) {
                        guard case .message(let frames)? = try? socket.receive(),
                            let message = try? CoordinatorMessage(frames: frames)
                        else {
                            Thread.sleep(forTimeInterval: 0.002)
                            continue
                        }
                        switch message {
                        case .welcome(let welcome):
                            self.welcome.withLock { $0 = welcome.version }
                            send(.ask(2))
                        case .embedding(let digest, let value): embeddings[digest] = value
                        case .task(let task):
                            tasks.append(task)
                            send(.wanted(task.unit.embeddingDigests))
                        case .heartbeat: send(.heartbeat)
                        default: break
                        }
                        while var task = tasks.first,
                            task.unit.embeddingDigests.allSatisfy({ embeddings[$0] != nil })
                        {
                            tasks.removeFirst()
                            task.unit.embeddings = embeddings
                            guard let result = try? evaluator.evaluate([task.unit]).first else {
                                continue
                            }
                            send(.answer(.init(unit: task.id, microseconds: 9, result: result)))
                            send(.ask(1))
                        }
                    }
                }
            }
        }

        func stop() {
            isOver.withLock { $0 = true }
            thread.withLock { $0 }?.join()
        }
    }

    /// Every third answer arrives with one bit flipped, which leaves a finite number and the right size.
    @Test func aFlippedBitIsNotTheWorkersFault() throws {
        let local = try ThreadCluster()
        defer { local.stop() }
        let peer = Peer(local.cluster.endpoint) { frames, answer in
            if answer > 0, answer % 3 == 0 { frames[1][frames[1].count / 2] ^= 4 }
        }
        defer { peer.stop() }
        #expect(eventually { local.cluster.statistics.count == 1 })
        let views = makeViews(20)
        let answers = try local.cluster.open(geometry).tensors(views)
        #expect(answers.map(\.values) == (try expected(views)))
        let statistics = local.cluster.statistics
        // It is the only worker, so it computed the damaged answers again, and was not set aside.
        #expect(statistics.count == 1 && statistics[0].isActive && statistics[0].views == 20)
        #expect(statistics[0].damaged >= 9)
        #expect(statistics[0].damaged == peer.answers.withLock { $0 } / 3)
    }

    /// The worker's own messages have no checksum at the end, and the welcome states the worker's version.
    @Test func aWorkerOfTheVersionBeforeJoins() throws {
        let local = try ThreadCluster()
        defer { local.stop() }
        let peer = Peer(local.cluster.endpoint, version: oldestProtocolVersion) { frames, _ in
            frames[0].removeLast(6)
        }
        defer { peer.stop() }
        #expect(eventually { local.cluster.statistics.count == 1 })
        let views = makeViews(10)
        let answers = try local.cluster.open(geometry).tensors(views)
        #expect(answers.map(\.values) == (try expected(views)))
        #expect(peer.welcome.withLock { $0 } == oldestProtocolVersion)
        #expect(local.cluster.statistics[0].version == oldestProtocolVersion)
        // It cannot be asked about its host, and is not sent messages that it does not know.
        guard
            case .failed(let reason) = local.cluster.probe("peer", .report(load: 0, floats: 0))
                .take()
        else {
            Issue.record("it reported")
            return
        }
        #expect(reason.contains("version 7"))
    }

    @Test func everyWorkerCanBeGivenTheSameUnit() throws {
        let local = try ThreadCluster()
        defer { local.stop() }
        try local.add(name: "one")
        try local.add(name: "two")
        #expect(eventually { local.cluster.statistics.count == 2 })
        let job = local.cluster.open(geometry)
        let view = makeViews(1)[0]
        for name in ["one", "two"] {
            guard case .result(let result, _) = local.cluster.probe(name, .unit(view, job)).take()
            else {
                Issue.record("\(name) gave no result")
                continue
            }
            #expect(result.tensor?.values == (try expected([view])[0]))
            let reply = local.cluster.probe(name, .report(load: 10, floats: 1000)).take()
            guard case .report(let report, let sent, let came) = reply else {
                Issue.record("\(name): \(reply)")
                continue
            }
            #expect(report.load == 1000 && came >= sent)
            #expect(report.memory.map { $0 > report.available ?? 0 } == true)
        }
        guard case .failed = local.cluster.probe("nobody", .unit(view, job)).take() else {
            Issue.record("nobody answered")
            return
        }
        // A render continues as if nothing had happened.
        let views = makeViews(10)
        #expect(try job.tensors(views).map(\.values) == expected(views))
        local.stop("two")
        #expect(eventually { local.cluster.statistics.count { $0.isActive } == 1 })
    }
}
