import Coordinator
import Engine
import FakeModel
import Protocol
import Sampling
import Testing
import Worker

/// Workers behind a relay, in threads of this process.
@Suite(.serialized) struct RelayTests {
    /// Windows of one latent, overlapping by half.
    private func windows() throws -> [WorkUnit] {
        let side = 64
        let latent = Tensor(
            (0..<side * side * 4).map { Float($0 % 977) },
            shape: [1, side, side, 4]
        )
        let starts = [0, 16, 32]
        let places = starts.flatMap { top in starts.map { (top, $0) } }
        return places.enumerated().map { index, place in
            var unit = WorkUnit.view(
                index,
                latent.cropped(top: place.0, left: place.1, height: 32, width: 32),
                timestep: 500,
                guidance: 2,
                prompts: prompts(),
                timeIDs: [0, 0, Float(index), 0, 0, 0]
            )
            unit.place = Region(rows: place.0..<place.0 + 32, columns: place.1..<place.1 + 32)
            return unit
        }
    }

    /// The answers are the same as without a relay; pixels that windows share are sent to the site once.
    @Test func answersAreTheSameAndPixelsComeOnce() throws {
        let views = try windows()
        let local = try ThreadCluster()
        let site = try ThreadRelay(local.cluster)
        defer { local.stop() }
        for _ in 0..<3 { try local.add(at: site.relay.endpoint) }
        #expect(eventually { local.cluster.statistics.count { $0.isActive } == 3 })
        let job = local.cluster.open(geometry)
        for _ in 0..<2 {
            #expect(try job.tensors(views).map(\.values) == expected(views))
        }
        let traffic = try site.stop()
        let (all, once) = (2 * 9 * 32 * 32 * 16, 64 * 64 * 16)
        #expect(traffic.sent > all, "\(traffic)")
        #expect(traffic.received < once + all / 4, "\(traffic)")
    }

    /// A relay that is lost takes its workers with it, and they return with the next one.
    @Test func aRelayMayBeStartedAgain() throws {
        let views = try windows()
        let local = try ThreadCluster { $0.policy.silence = .seconds(2) }
        defer { local.stop() }
        let directory = try PrivateDirectory()
        defer { directory.remove() }
        let first = try ThreadRelay(local.cluster, at: directory.endpoint)
        try local.add(.slow(30), at: directory.endpoint)
        let job = local.cluster.open(geometry)
        var done = 0
        var second: ThreadRelay?
        let answers = try job.tensors(views) { _ in
            done += 1
            guard done == 3 else { return }
            _ = try first.stop()
            second = try ThreadRelay(local.cluster, at: directory.endpoint)
        }
        #expect(answers.map(\.values) == (try expected(views)))
        _ = try second?.stop()
    }

    /// A lost worker of a site may have held pixels that others need: they are sent again.
    @Test func aLostWorkerTakesNothingAlong() throws {
        let views = try windows()
        let local = try ThreadCluster { $0.policy.silence = .seconds(2) }
        let site = try ThreadRelay(local.cluster)
        defer { local.stop() }
        try local.add(.slow(300), name: "slow", at: site.relay.endpoint)
        #expect(eventually { local.cluster.statistics.count { $0.isActive } == 1 })
        try local.add(at: site.relay.endpoint)
        #expect(eventually { local.cluster.statistics.count { $0.isActive } == 2 })
        let job = local.cluster.open(geometry)
        var done = 0
        let answers = try job.tensors(views) { _ in
            done += 1
            if done == 2 { local.stop("slow") }
        }
        #expect(answers.map(\.values) == (try expected(views)))
        _ = try site.stop()
    }

    /// A task that refers to data that never arrives is given back, and the worker can take as many tasks as before.
    @Test func aTaskThatCannotBeCompletedIsGivenBack() throws {
        let directory = try PrivateDirectory()
        defer { directory.remove() }
        let coordinator = try Socket(.router, in: SocketContext())
        let endpoint = try coordinator.bind(directory.endpoint)
        let relay = try ThreadRelay(to: endpoint)
        var options = WorkerProcess.Options(endpoint: relay.relay.endpoint, name: "one")
        options.ownsProcess = false
        let worker = try WorkerProcess(Evaluator(FakeNetworks()), options: options, logger: quiet)
        let thread = NamedThread("worker") { try? worker.run() }
        let unit = try windows()[0]
        let place = try #require(unit.place)
        var sent = SentCells()
        _ = sent.delta(of: unit.input, at: place, as: .f32)
        var task = CoordinatorMessage.Task(id: UnitID(5), job: 1, unit: unit)
        task.delta = sent.delta(of: unit.input, at: place, as: .f32)
        let welcome = CoordinatorMessage.Welcome(
            heartbeat: .milliseconds(500),
            timeout: .seconds(60)
        )
        let answers: [CoordinatorMessage] = [
            .welcome(welcome), .job(.init(id: 1)), .task(task),
        ]
        var heard: [String] = []
        let isGivenBack = eventually {
            guard case .message(let frames)? = try? coordinator.receive(),
                let message = try? WorkerMessage(frames: Array(frames.dropFirst()))
            else { return false }
            if case .hello = message {
                for answer in answers { _ = try? coordinator.send([frames[0]] + answer.frames) }
            }
            heard.append(Self.kind(message))
            return heard.suffix(2) == ["missing 5", "ask 1"]
        }
        #expect(isGivenBack && heard.first == "hello of relay/one", "\(heard)")
        worker.stop()
        thread.join()
        _ = try relay.stop()
    }

    private static func kind(_ message: WorkerMessage) -> String {
        switch message {
        case .missing(let unit): "missing \(unit.rawValue)"
        case .ask(let count): "ask \(count)"
        case .hello(let hello): "hello of \(hello.name)"
        default: "other"
        }
    }
}
