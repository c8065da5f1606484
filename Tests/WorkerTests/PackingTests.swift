import Coordinator
import Engine
import FakeModel
import Protocol
import Testing
import Worker

/// Tensors that are packed for transfer.
@Suite struct PackingTests {
    /// Tensors are packed to and from other hosts, but not over a socket on this host; the answers are the same.
    @Test func tensorsArePackedForOtherHosts() throws {
        let views = makeViews(6, side: 32)
        func run(_ endpoint: Endpoint?) throws -> (sent: Int, received: Int) {
            let local = try ThreadCluster { if let endpoint { $0.endpoint = endpoint } }
            defer { local.stop() }
            try local.add()
            let job = local.cluster.open(geometry)
            #expect(try job.tensors(views).map(\.values) == expected(views))
            let worker = try #require(local.cluster.statistics.first)
            return (worker.sent, worker.received)
        }
        let (here, away) = (try run(nil), try run(Endpoint("tcp://127.0.0.1:0")))
        let plain = 6 * 32 * 32 * 4 * 4
        #expect(here.sent > plain && here.received > plain, "\(here)")
        // Whole numbers, whose last bits are mostly zero.
        #expect(away.sent < plain * 3 / 4 && away.received < plain * 3 / 4, "\(away)")
    }

    /// A coordinator that has not announced it may be unable to read packed tensors.
    @Test(arguments: [true, false]) func answersArePackedWhereTheJobSaysSo(packs: Bool) throws {
        var options = SessionScript.options()
        options.hello.packs = true
        var state = WorkerSessionState(options: options)
        _ = state.handle(.connected, at: .zero)
        let welcome = CoordinatorMessage.Welcome(heartbeat: .seconds(1), timeout: .seconds(5))
        _ = state.handle(.received(.welcome(welcome)), at: .zero)
        var job = CoordinatorMessage.Job(id: 1)
        job.packs = packs
        _ = state.handle(.received(.job(job)), at: .zero)
        let unit = WorkUnit(.autoencode(.decoder), input: Tensor(zeros: [1, 1, 1, 4]))
        let task = CoordinatorMessage.Task(id: UnitID(3), job: 1, unit: unit)
        _ = state.handle(.received(.task(task)), at: .zero)
        let result = WorkResult(tensor: Tensor(zeros: [1, 8, 8, 3]))
        let actions = state.handle(
            .finished(UnitID(3), microseconds: 5, .success(result)),
            at: .zero
        )
        let answers = actions.compactMap { action -> WorkerMessage.Answer? in
            if case .send(.answer(let answer)) = action { answer } else { nil }
        }
        #expect(answers.map(\.packs) == [packs])
    }
}
