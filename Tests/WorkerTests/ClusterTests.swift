import Coordinator
import Engine
import FakeModel
import Foundation
import Protocol
import Synchronization
import Testing
import Worker

@Suite(.serialized) struct ClusterTests {
    @Test(arguments: [1, 2, 3])
    func answersComeInTheOrderOfTheRequests(workers: Int) throws {
        let local = try ThreadCluster()
        defer { local.stop() }
        for i in 0..<workers { try local.add(i == 0 ? .slow(3) : .good) }
        let cluster = local.cluster
        try cluster.begin(job())
        for count in [1, 17, 40] {
            let views = makeViews(count)
            var done: [Int] = []
            let answers = try cluster.predict(views) { done.append($0) }
            #expect(answers.map(\.values) == (try expected(views)))
            #expect(done.sorted() == Array(0..<count))
        }
        cluster.end()
        let statistics = cluster.statistics
        #expect(statistics.map(\.views).reduce(0, +) == 58)
        #expect(statistics.count <= workers && statistics.allSatisfy { $0.backend == "fake" })
    }

    @Test func tilesAreDecodedLikeViews() throws {
        let local = try ThreadCluster()
        defer { local.stop() }
        try local.add()
        try local.cluster.begin(job())
        let tiles = (0..<5).map { i in
            TileRequest(
                index: i,
                input: Tensor([Float](repeating: Float(i), count: 24), shape: [1, 2, 3, 4])
            )
        }
        let pictures = try local.cluster.evaluate(tiles) { _ in }
        #expect(pictures.allSatisfy { $0.shape == [1, 16, 24, 3] })
        #expect(pictures.map { $0.values[100] } == [0, 1, 2, 3, 4])
        #expect(local.cluster.statistics.first?.tiles == 5)
    }

    @Test func withoutANegativePromptThereIsOneEvaluation() throws {
        let local = try ThreadCluster()
        defer { local.stop() }
        let host = try local.add()
        try local.cluster.begin(job(negative: nil))
        let views = makeViews(3)
        #expect(
            try local.cluster.predict(views) { _ in }.map(\.values)
                == expected(views, job(negative: nil))
        )
        #expect(host.rowCount == 3)
        try local.cluster.begin(job())
        _ = try local.cluster.predict(views) { _ in }
        #expect(host.rowCount == 9)
    }

    @Test(arguments: [FakeModelHost.Behaviour.nan, .wrongShape, .throwing])
    func badAnswersAreComputedElsewhereAndTheWorkerSetAside(
        behaviour: FakeModelHost.Behaviour
    ) throws {
        let local = try ThreadCluster()
        defer { local.stop() }
        let bad = try local.add(behaviour, name: "bad")
        #expect(eventually { local.cluster.statistics.count == 1 })
        try local.add(.slow(5), name: "good")
        #expect(eventually { local.cluster.statistics.count == 2 })
        try local.cluster.begin(job(negative: nil))
        let views = makeViews(30)
        #expect(
            try local.cluster.predict(views) { _ in }.map(\.values)
                == expected(views, job(negative: nil))
        )
        #expect(bad.unitCount >= 3)
        let entry = local.cluster.statistics.first { $0.name == "bad" }
        #expect(entry?.views == 0 && entry?.isActive == false)
        let asked = bad.unitCount
        _ = try local.cluster.predict(views) { _ in }
        #expect(bad.unitCount == asked)
    }

    @Test func aViewThatNobodyCanComputeFailsTheJobWithItsPlace() throws {
        let local = try ThreadCluster()
        defer { local.stop() }
        for _ in 0..<3 { try local.add(.nan) }
        #expect(eventually { local.cluster.statistics.count == 3 })
        try local.cluster.begin(job())
        let error = #expect(throws: UnitFailed.self) {
            try local.cluster.predict(makeViews(1)) { _ in }
        }
        #expect(error?.unit == "view 0 (4×4 at timestep 500.0, crop 0,0)")
        #expect(error?.reasons.count == 3)
    }

    @Test func aWorkerWithAnotherModelIsRefusedWithBothSidesNamed() throws {
        let local = try ThreadCluster()
        defer { local.stop() }
        let other = String(repeating: "cd", count: 32)
        try local.add(name: "stranger", digest: other)
        #expect(eventually { local.ending(of: "stranger") != nil })
        let line = try #require(local.ending(of: "stranger"))
        #expect(line.contains("/models/fake (cdcdcdcdcdcd)"), "\(line)")
        #expect(line.contains("/models/here (abababababab)"), "\(line)")
        #expect(local.cluster.statistics.isEmpty)
    }

    @Test func nobodyThereIsAClusterUnavailable() throws {
        let local = try ThreadCluster { $0.policy.grace = .milliseconds(300) }
        defer { local.stop() }
        try local.cluster.begin(job())
        let error = #expect(throws: ClusterUnavailable.self) {
            try local.cluster.predict(makeViews(1)) { _ in }
        }
        #expect(error?.description.contains(local.cluster.endpoint.address) == true)
    }

    @Test func cancelEndsTheCallThatRunsAndLaterOnes() throws {
        let local = try ThreadCluster()
        defer { local.stop() }
        let host = try local.add(.slow(20))
        let cluster = local.cluster
        try cluster.begin(job())
        let canceller = NamedThread("canceller") {
            Thread.sleep(forTimeInterval: 0.2)
            cluster.cancel()
        }
        #expect(throws: RenderCancelled.self) { try cluster.predict(makeViews(1000)) { _ in } }
        canceller.join()
        #expect(host.unitCount < 100)
        #expect(throws: RenderCancelled.self) { try cluster.predict(makeViews(1)) { _ in } }
    }

    @Test func anErrorOfTheObserverEndsTheCallOnly() throws {
        struct Full: Error {}
        let local = try ThreadCluster()
        defer { local.stop() }
        try local.add()
        try local.cluster.begin(job())
        #expect(throws: Full.self) {
            try local.cluster.predict(makeViews(50)) { _ in throw Full() }
        }
        let views = makeViews(5)
        #expect(try local.cluster.predict(views) { _ in }.map(\.values) == expected(views))
    }

    @Test func callsAfterStopFail() throws {
        let local = try ThreadCluster()
        local.stop()
        #expect(throws: ClusterUnavailable.self) {
            try local.cluster.predict(makeViews(1)) { _ in }
        }
    }

    @Test func aHungWorkerLosesItsViews() throws {
        let local = try ThreadCluster { $0.policy.silence = .milliseconds(400) }
        defer { local.stop() }
        // Says hello, asks for work, and is never heard of again.
        let context = try SocketContext()
        let mute = try Socket(.dealer, in: context)
        try mute.connect(local.cluster.endpoint)
        var hello = WorkerMessage.Hello(
            name: "mute",
            model: ModelIdentity(digest: FakeModelHost.digest, path: ""),
            threads: 1,
            processor: "",
            backend: "",
            precision: "",
            processID: 0
        )
        hello.processID = getpid()
        _ = try mute.send(WorkerMessage.hello(hello).frames)
        _ = try mute.send(WorkerMessage.ask(2).frames)
        #expect(eventually { local.cluster.statistics.count == 1 })
        try local.add()
        try local.cluster.begin(job())
        let views = makeViews(6)
        #expect(try local.cluster.predict(views) { _ in }.map(\.values) == expected(views))
        // Its views were copied meanwhile; in the end it is given up.
        #expect(
            eventually { local.cluster.statistics.first { $0.name == "mute" }?.isActive == false }
        )
    }

    @Test func garbageOfStrangersDisturbsNothing() throws {
        let local = try ThreadCluster()
        defer { local.stop() }
        try local.add()
        try local.cluster.begin(job())
        let context = try SocketContext()
        let stranger = try Socket(.dealer, in: context)
        try stranger.connect(local.cluster.endpoint)
        let answer = WorkerMessage.answer(
            .init(unit: UnitID(1), microseconds: 0, tensor: Tensor(zeros: [1, 4, 4, 4]))
        )
        let garbage: [[[UInt8]]] = [
            [[]], [[0xff, 0xff]], [[UInt8](repeating: 7, count: 100_000)], answer.frames,
            [[UInt8]](repeating: [1], count: 300), WorkerMessage.heartbeat.frames,
        ]
        for i in 0..<3000 { _ = try stranger.send(garbage[i % garbage.count]) }
        let views = makeViews(20)
        #expect(try local.cluster.predict(views) { _ in }.map(\.values) == expected(views))
        #expect(local.cluster.statistics.count == 1)
    }

    @Test func workersWaitForACoordinatorAndFindTheNext() throws {
        let directory = try PrivateDirectory()
        var options = WorkerProcess.Options(endpoint: directory.endpoint, name: "patient")
        options.ownsProcess = false
        let worker = try WorkerProcess(host: FakeModelHost(), options: options, logger: quiet)
        let thread = NamedThread("worker") { try? worker.run() }
        defer {
            worker.stop()
            thread.join()
        }
        Thread.sleep(forTimeInterval: 0.3)
        for _ in 0..<2 {
            var configuration = Cluster.Configuration(
                endpoint: directory.endpoint,
                model: ModelIdentity(digest: FakeModelHost.digest, path: "")
            )
            configuration.heartbeat = .milliseconds(50)
            let cluster = try Cluster(configuration, logger: quiet)
            defer { cluster.stop() }
            try cluster.begin(job())
            let views = makeViews(8)
            #expect(try cluster.predict(views) { _ in }.map(\.values) == expected(views))
        }
    }

    /// The coordinator's own time per view of 64×64, with a worker that costs almost nothing.
    @Test func theCoordinatorCostsLittlePerView() throws {
        let local = try ThreadCluster()
        defer { local.stop() }
        try local.add()
        try local.cluster.begin(job())
        let views = makeViews(500, side: 64)
        _ = try local.cluster.predict(views) { _ in }
        let clock = ContinuousClock()
        let time = try clock.measure { _ = try local.cluster.predict(views) { _ in } }
        print("a view of 64×64 through coordinator and worker: \(time / views.count)")
        // Loose: it says that nothing waits for a timer. `make bench` measures.
        #expect(time / views.count < .milliseconds(10))
    }
}
