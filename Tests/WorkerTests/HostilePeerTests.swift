import Coordinator
import Engine
import FakeModel
import Foundation
import Protocol
import Synchronization
import Testing
import Worker

/// Workers that break the rules next to an honest one: only the honest one's answers are used.
@Suite(.serialized) struct HostilePeerTests {
    private func hello(_ name: String) -> WorkerMessage.Hello {
        WorkerMessage.Hello(
            name: name,
            model: ModelIdentity(digest: FakeNetworks.digest, path: ""),
            threads: 1,
            processor: "",
            backend: "",
            precision: "",
            processID: getpid()
        )
    }

    @Test func answersThatNobodyAskedForAreNotFused() throws {
        let local = try ThreadCluster()
        defer { local.stop() }
        let liar = try Socket(.dealer, in: SocketContext())
        try liar.connect(local.cluster.endpoint)
        _ = try liar.send(WorkerMessage.hello(hello("liar")).frames)
        #expect(eventually { local.cluster.statistics.count == 1 })
        try local.add(.slow(5), name: "honest")
        #expect(eventually { local.cluster.statistics.count == 2 })
        let job = local.cluster.open(geometry)
        let views = makeViews(60)
        let garbage = Tensor([Float](repeating: 0.5, count: 64), shape: [1, 4, 4, 4])
        var round = 0
        let answers = try job.tensors(views) { _ in
            // It answers everything, and says hello again whenever it was rejected.
            round += 1
            _ = try liar.send(WorkerMessage.hello(hello("liar")).frames)
            for unit in UInt64(1)...60 {
                let answer = WorkerMessage.Answer(
                    unit: UnitID(unit),
                    microseconds: 1,
                    result: WorkResult(tensor: garbage)
                )
                _ = try liar.send(WorkerMessage.answer(answer).frames)
            }
        }
        #expect(round == 60)
        #expect(answers.map(\.values) == (try expected(views)))
        let lies = local.cluster.statistics.filter { $0.name == "liar" }
        #expect(!lies.isEmpty && lies.allSatisfy { $0.views == 0 })
    }

    /// Rounded answers would silently change the picture.
    @Test func anAnswerInAnotherTypeThanTheJobsIsNotFused() throws {
        let local = try ThreadCluster()
        defer { local.stop() }
        let (hello, endpoint) = (hello("rounding"), local.cluster.endpoint)
        let given = Mutex(0)
        let thread = NamedThread("rounding") {
            guard let worker = try? Socket(.dealer, in: SocketContext()),
                (try? worker.connect(endpoint)) != nil
            else { return }
            _ = try? worker.send(WorkerMessage.hello(hello).frames)
            _ = try? worker.send(WorkerMessage.ask(1).frames)
            let end = ContinuousClock.now + .seconds(20)
            while given.withLock({ $0 == 0 }), ContinuousClock.now < end {
                guard case .message(let frames)? = try? worker.receive(),
                    case .task(let task)? = try? CoordinatorMessage(frames: frames)
                else {
                    Thread.sleep(forTimeInterval: 0.002)
                    continue
                }
                let answer = WorkerMessage.Answer(
                    unit: task.id,
                    microseconds: 1,
                    result: WorkResult(tensor: task.unit.input),
                    wire: .f16
                )
                _ = try? worker.send(WorkerMessage.answer(answer).frames)
                given.withLock { $0 += 1 }
                Thread.sleep(forTimeInterval: 0.5)
            }
        }
        defer { thread.join() }
        #expect(eventually { local.cluster.statistics.count == 1 })
        try local.add(.slow(5), name: "honest")
        #expect(eventually { local.cluster.statistics.count == 2 })
        let views = makeViews(60)
        let answers = try local.cluster.open(geometry).tensors(views)
        #expect(answers.map(\.values) == (try expected(views)))
        #expect(given.withLock { $0 } == 1)
        #expect(local.cluster.statistics.first { $0.name == "rounding" }?.views == 0)
    }

    @Test(arguments: ["1e38", "-3e38", "1e-40", "0"])
    func finiteGarbageIsComputedElsewhere(value: String) throws {
        let local = try ThreadCluster()
        defer { local.stop() }
        let behaviour = try #require(FakeNetworks.Behaviour("fill:\(value)"))
        let bad = try local.add(behaviour, name: "bad")
        #expect(eventually { local.cluster.statistics.count == 1 })
        try local.add(.slow(5), name: "good")
        #expect(eventually { local.cluster.statistics.count == 2 })
        let job = local.cluster.open(geometry)
        let views = makeViews(30)
        #expect(try job.tensors(views).map(\.values) == expected(views))
        #expect(bad.unitCount >= 1)
        #expect(local.cluster.statistics.first { $0.name == "bad" }?.views == 0)
    }

    /// Whole pictures and latents, tokens and moments.
    @Test func noModelPutsOutSuchTilesEither() throws {
        func isGood(_ result: WorkResult) -> Bool {
            AnswerBounds(evaluating: Tensor(zeros: [1, 4, 4, 4])).fault(of: result) == nil
        }
        func picture(_ value: Float) -> WorkResult {
            WorkResult(tensor: Tensor([0.5, value], shape: [1, 1, 1, 2]))
        }
        func moments(_ mean: Double, _ variance: Double) -> WorkResult {
            WorkResult(
                tensor: Tensor([1e6], shape: [1, 1, 1, 1]),
                statistics: [Moments(mean: mean, variance: variance)]
            )
        }
        // Values beyond float16's range, as they occur inside SDXL's autoencoder.
        #expect(isGood(picture(-3)) && isGood(picture(0)) && isGood(moments(1e5, 1e12)))
        #expect(isGood(WorkResult(tensor: Tensor(zeros: [1, 1, 1, 3]))))
        #expect(isGood(moments(0, 0)) && isGood(moments(0, 1e-300)))
        for bad in [1e38, -3e38, .nan, .infinity] as [Float] { #expect(!isGood(picture(bad))) }
        #expect(
            !isGood(WorkResult(tensor: Tensor([.leastNonzeroMagnitude, 0], shape: [1, 1, 1, 2])))
        )
        #expect(!isGood(moments(1e38, 1)) && !isGood(moments(-3e38, 1)))
        #expect(!isGood(moments(0, 1e38)) && !isGood(moments(0, -1)) && !isGood(moments(.nan, 0)))
    }

    @Test func predictionsAreBoundedByTheirInputAndGuidance() {
        let latent = Tensor([0.5, -4], shape: [1, 1, 1, 2])
        func isGood(_ value: Float, guidance: Float) -> Bool {
            AnswerBounds(predicting: latent, guidance: guidance)
                .fault(of: WorkResult(tensor: Tensor([value, 0], shape: [1, 1, 1, 2]))) == nil
        }
        // The input's root mean square is 2.85; that of an answer in which half of the numbers are zero is 0.71 of the
        // value.
        #expect(isGood(1, guidance: 0) && isGood(-40, guidance: 7.5) && isGood(40, guidance: 0))
        #expect(!isGood(41, guidance: 0) && isGood(-41, guidance: 1))
        // 100 is the largest guidance scale that is accepted.
        #expect(isGood(40 * 101, guidance: 100) && !isGood(41 * 101, guidance: 100))
        #expect(!isGood(0, guidance: 7.5) && !isGood(1e-7, guidance: 7.5))
    }

    /// Noise that is too strong, numbers that are almost all zero, and one small number everywhere: finite, but not
    /// what any model predicts.
    @Test func whatNoModelPredicts() {
        let noise = (0..<1024).map { Float(sin(Double($0 * $0 + 1))) * 1.4142 }
        let latent = Tensor(noise, shape: [1, 16, 16, 4])
        func isGood(_ values: [Float]) -> Bool {
            let result = WorkResult(tensor: Tensor(values, shape: [1, 16, 16, 4]))
            return AnswerBounds(predicting: latent, guidance: 7.5).fault(of: result) == nil
        }
        for strength in [1e-3, 1, 10, 80] as [Float] {
            #expect(isGood(noise.map { $0 * strength }))
        }
        for strength in [100, 1000, 5000] as [Float] {
            #expect(!isGood(noise.map { $0 * strength }))
        }
        #expect(!isGood(.init(repeating: 1e-11, count: 1024)))
        #expect(!isGood([1] + .init(repeating: .leastNonzeroMagnitude, count: 1023)))
        #expect(isGood([0, 0, 0] + noise.dropFirst(3)))
    }

    @Test func theLargestMagnitudeIsFoundAnywhere() {
        for count in [1, 7, 8, 9, 31, 64] {
            for place in 0..<count {
                var values = [Float](repeating: 0.25, count: count)
                values[place] = -3
                #expect(Tensor(values, shape: [1, count]).largestMagnitude == 3)
                for bad in [Float.nan, .infinity, -.infinity] {
                    values[place] = bad
                    #expect(Tensor(values, shape: [1, count]).largestMagnitude == nil)
                }
            }
        }
    }
}
