import Coordinator
import Engine
import FakeModel
import Foundation
import Protocol
import Sampling
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
        let job = cluster.open(geometry)
        for count in [1, 17, 40] {
            let views = makeViews(count)
            var done: [Int] = []
            let answers = try job.tensors(views) { done.append($0) }
            #expect(answers.map(\.values) == (try expected(views)))
            #expect(done.sorted() == Array(0..<count))
        }
        job.end()
        let statistics = cluster.statistics
        #expect(statistics.map(\.views).reduce(0, +) == 58)
        #expect(statistics.count <= workers && statistics.allSatisfy { $0.backend == "fake" })
    }

    @Test func tilesAreDecodedLikeViews() throws {
        let local = try ThreadCluster()
        defer { local.stop() }
        try local.add()
        let job = local.cluster.open(geometry)
        let tiles = (0..<5).map { i in
            WorkUnit.tile(
                i,
                .decoder,
                Tensor([Float](repeating: Float(i), count: 24), shape: [1, 2, 3, 4])
            )
        }
        let pictures = try job.tensors(tiles)
        #expect(pictures.allSatisfy { $0.shape == [1, 16, 24, 3] })
        #expect(pictures.map { $0.values[100] } == [0, 1, 2, 3, 4])
        #expect(local.cluster.statistics.first?.tiles == 5)
    }

    @Test func withoutANegativePromptThereIsOneEvaluation() throws {
        let local = try ThreadCluster()
        defer { local.stop() }
        let host = try local.add()
        let job = local.cluster.open(geometry)
        let views = makeViews(3, prompts: prompts(negative: nil))
        #expect(try job.tensors(views).map(\.values) == expected(views))
        #expect(host.rowCount == 3)
        _ = try job.tensors(makeViews(3))
        #expect(host.rowCount == 9)
    }

    @Test(arguments: [FakeNetworks.Behaviour.nan, .wrongShape, .throwing])
    func badAnswersAreComputedElsewhereAndTheWorkerSetAside(
        behaviour: FakeNetworks.Behaviour
    ) throws {
        let local = try ThreadCluster()
        defer { local.stop() }
        let bad = try local.add(behaviour, name: "bad")
        #expect(eventually { local.cluster.statistics.count == 1 })
        try local.add(.slow(5), name: "good")
        #expect(eventually { local.cluster.statistics.count == 2 })
        let job = local.cluster.open(geometry)
        let views = makeViews(30, prompts: prompts(negative: nil))
        #expect(try job.tensors(views).map(\.values) == expected(views))
        #expect(bad.unitCount >= 3)
        let entry = local.cluster.statistics.first { $0.name == "bad" }
        #expect(entry?.views == 0 && entry?.isActive == false)
        let asked = bad.unitCount
        _ = try job.tensors(views)
        #expect(bad.unitCount == asked)
    }

    @Test func aViewThatNobodyCanComputeFailsTheJobWithItsPlace() throws {
        // Others might join and do better, so the cluster waits for the grace period.
        let local = try ThreadCluster { $0.policy.grace = .seconds(1) }
        defer { local.stop() }
        for _ in 0..<3 { try local.add(.nan) }
        #expect(eventually { local.cluster.statistics.count == 3 })
        let job = local.cluster.open(geometry)
        let error = #expect(throws: UnitFailed.self) {
            try job.tensors(makeViews(1))
        }
        #expect(error?.unit == "view 0 (4×4 at timestep 500.0, crop 0,0)")
        // Nobody else joins: each worker is asked again until that time is over, or until it is set aside.
        #expect((3...9).contains(error?.reasons.count ?? 0))
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

    @Test func noWorkersIsClusterUnavailable() throws {
        let local = try ThreadCluster { $0.policy.grace = .milliseconds(300) }
        defer { local.stop() }
        let job = local.cluster.open(geometry)
        let error = #expect(throws: ClusterUnavailable.self) {
            try job.tensors(makeViews(1))
        }
        #expect(error?.description.contains(local.cluster.endpoint.address) == true)
    }

    @Test func cancelEndsTheCallThatRunsAndLaterOnes() throws {
        let local = try ThreadCluster()
        defer { local.stop() }
        let host = try local.add(.slow(20))
        let cluster = local.cluster
        let job = cluster.open(geometry)
        let canceller = NamedThread("canceller") {
            Thread.sleep(forTimeInterval: 0.2)
            job.cancel()
        }
        #expect(throws: RenderCancelled.self) { try job.tensors(makeViews(1000)) }
        canceller.join()
        #expect(host.unitCount < 100)
        #expect(throws: RenderCancelled.self) { try job.tensors(makeViews(1)) }
    }

    /// A cluster outlives its jobs: one is cancelled, others continue, and new ones follow.
    @Test func cancellingAJobLeavesTheOthers() throws {
        let local = try ThreadCluster()
        defer { local.stop() }
        try local.add(.slow(5))
        let (first, second) = (local.cluster.open(geometry), local.cluster.open(geometry))
        let views = makeViews(20)
        let ended = BlockingQueue<Bool>()
        let other = NamedThread("render") {
            do {
                _ = try first.evaluate(makeViews(10_000)) { _ in }
                ended.put(false)
            } catch {
                ended.put(error is RenderCancelled)
            }
        }
        let canceller = NamedThread("canceller") {
            Thread.sleep(forTimeInterval: 0.2)
            first.cancel()
        }
        // Waits for the first job's batch.
        #expect(try second.tensors(views).map(\.values) == expected(views))
        #expect(ended.take())
        other.join()
        canceller.join()
        second.end()
        let third = local.cluster.open(geometry)
        #expect(try third.tensors(views).map(\.values) == expected(views))
        #expect(throws: ClusterUnavailable.self) { try second.tensors(views) }
    }

    /// Two prompts in one batch, each view with its own.
    @Test func everyViewHasItsOwnConditioning() throws {
        let local = try ThreadCluster()
        defer { local.stop() }
        for _ in 0..<2 { try local.add() }
        let job = local.cluster.open(geometry)
        let others = Prompts(
            positive: Embedding(
                context: Tensor([7, 9], shape: [1, 1, 2]),
                pooled: Tensor([4], shape: [1, 1])
            ),
            negative: prompts().positive
        )
        let views = zip(makeViews(12), makeViews(12, prompts: others))
            .flatMap { [$0, $1] }
        let answers = try job.tensors(views).map(\.values)
        #expect(answers == (try expected(views)))
        #expect(answers[0] != answers[1])
    }

    @Test func anErrorOfTheObserverEndsTheCallOnly() throws {
        struct Full: Error {}
        let local = try ThreadCluster()
        defer { local.stop() }
        try local.add()
        let job = local.cluster.open(geometry)
        #expect(throws: Full.self) {
            try job.tensors(makeViews(50)) { _ in throw Full() }
        }
        let views = makeViews(5)
        #expect(try job.tensors(views).map(\.values) == expected(views))
    }

    @Test func callsAfterStopFail() throws {
        let local = try ThreadCluster()
        let job = local.cluster.open(geometry)
        local.stop()
        #expect(throws: ClusterUnavailable.self) {
            try job.tensors(makeViews(1))
        }
    }

    @Test func aHungWorkerLosesItsViews() throws {
        let local = try ThreadCluster { $0.policy.silence = .milliseconds(400) }
        defer { local.stop() }
        // Says hello, asks for work, and then falls silent.
        let context = try SocketContext()
        let mute = try Socket(.dealer, in: context)
        try mute.connect(local.cluster.endpoint)
        var hello = WorkerMessage.Hello(
            name: "mute",
            model: ModelIdentity(digest: FakeNetworks.digest, path: ""),
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
        let job = local.cluster.open(geometry)
        let views = makeViews(6)
        #expect(try job.tensors(views).map(\.values) == expected(views))
        // By then its views have been copied to the other worker; in the end it is given up.
        #expect(
            eventually { local.cluster.statistics.first { $0.name == "mute" }?.isActive == false }
        )
    }

    @Test func garbageOfStrangersDisturbsNothing() throws {
        let local = try ThreadCluster()
        defer { local.stop() }
        try local.add()
        let job = local.cluster.open(geometry)
        let context = try SocketContext()
        let stranger = try Socket(.dealer, in: context)
        try stranger.connect(local.cluster.endpoint)
        let answer = WorkerMessage.answer(
            .init(
                unit: UnitID(1),
                microseconds: 0,
                result: WorkResult(tensor: Tensor(zeros: [1, 4, 4, 4]))
            )
        )
        let garbage: [[[UInt8]]] = [
            [[]], [[0xff, 0xff]], [[UInt8](repeating: 7, count: 100_000)], answer.frames,
            [[UInt8]](repeating: [1], count: 300), WorkerMessage.heartbeat.frames,
        ]
        for i in 0..<3000 { _ = try stranger.send(garbage[i % garbage.count]) }
        let views = makeViews(20)
        #expect(try job.tensors(views).map(\.values) == expected(views))
        #expect(local.cluster.statistics.count == 1)
    }

    @Test func workersWaitForACoordinatorAndFindTheNext() throws {
        let directory = try PrivateDirectory()
        var options = WorkerProcess.Options(endpoint: directory.endpoint, name: "patient")
        options.ownsProcess = false
        let worker = try WorkerProcess(
            Evaluator(FakeNetworks()),
            options: options,
            logger: quiet
        )
        let thread = NamedThread("worker") { try? worker.run() }
        defer {
            worker.stop()
            thread.join()
        }
        Thread.sleep(forTimeInterval: 0.3)
        for _ in 0..<2 {
            var configuration = Cluster.Configuration(
                endpoint: directory.endpoint,
                model: ModelIdentity(digest: FakeNetworks.digest, path: "")
            )
            configuration.heartbeat = .milliseconds(50)
            let cluster = try Cluster(configuration, logger: quiet)
            defer { cluster.stop() }
            let job = cluster.open(geometry)
            let views = makeViews(8)
            #expect(try job.tensors(views).map(\.values) == expected(views))
        }
    }

    /// The coordinator's own time per view of 64×64, with a worker that costs almost nothing.
    @Test func theCoordinatorCostsLittlePerView() throws {
        let local = try ThreadCluster()
        defer { local.stop() }
        try local.add()
        let job = local.cluster.open(geometry)
        let views = makeViews(500, side: 64)
        _ = try job.tensors(views)
        let clock = ContinuousClock()
        let time = try clock.measure { _ = try job.tensors(views) }
        print("a view of 64×64 through coordinator and worker: \(time / views.count)")
        // A loose bound: it only shows that nothing waits for a timer. `make bench` measures the time.
        #expect(time / views.count < .milliseconds(10))
    }
}
