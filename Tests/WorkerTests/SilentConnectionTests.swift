import Coordinator
import Engine
import FakeModel
import Foundation
import Protocol
import Testing

/// Connections whose other side never says anything, and workers that never answer.
@Suite(.serialized) struct SilentConnectionTests {
    @Test func theyAreToldOnce() throws {
        let lines = HeardLines()
        let local = try ThreadCluster(
            logger: lines.logger()
        ) { $0.policy.silence = .milliseconds(300) }
        defer { local.stop() }
        // A program that connects and then sends nothing, next to a worker.
        let mute = try Socket(.dealer, in: SocketContext())
        try mute.connect(local.cluster.endpoint)
        try local.add()
        let job = local.cluster.open(geometry)
        let views = makeViews(2)
        #expect(try job.tensors(views).map(\.values) == expected(views))
        #expect(eventually { lines.count("has sent nothing") == 1 })
        Thread.sleep(forTimeInterval: 0.7)
        #expect(lines.count("has sent nothing") == 1)
        withExtendedLifetime(mute) {}
    }

    /// The first message of a connection can arrive together with the connection itself.
    @Test func workersAreNotSilent() throws {
        let lines = HeardLines()
        let local = try ThreadCluster(
            logger: lines.logger()
        ) { $0.policy.silence = .milliseconds(300) }
        defer { local.stop() }
        for _ in 0..<8 { try local.add() }
        let job = local.cluster.open(geometry)
        let views = makeViews(8)
        #expect(try job.tensors(views).map(\.values) == expected(views))
        Thread.sleep(forTimeInterval: 0.7)
        #expect(lines.count("has sent nothing") == 0)
    }

    @Test func aWorkerThatNeverAnswersIsNamedAtTheEnd() throws {
        let lines = HeardLines()
        let local = try ThreadCluster(
            logger: lines.logger()
        ) { $0.policy.silence = .milliseconds(300) }
        defer { local.stop() }
        let mute = try Socket(.dealer, in: SocketContext())
        try mute.connect(local.cluster.endpoint)
        let hello = WorkerMessage.Hello(
            name: "mute-1",
            model: ModelIdentity(digest: FakeNetworks.digest, path: "/models/fake"),
            threads: 1,
            processor: "",
            backend: "fake",
            precision: "f32",
            processID: 1
        )
        for message in [WorkerMessage.hello(hello), .ask(2)] { _ = try mute.send(message.frames) }
        #expect(eventually { local.cluster.statistics.count == 1 })
        try local.add(name: "good-1")
        let job = local.cluster.open(geometry)
        _ = try job.tensors(makeViews(8))
        for _ in 0..<10 {
            _ = try mute.send(WorkerMessage.heartbeat.frames)
            Thread.sleep(forTimeInterval: 0.05)
        }
        local.cluster.stop()
        #expect(lines.count("worker mute-1 was given work and never answered") == 1)
        #expect(lines.count("good-1") == 0)
    }
}
