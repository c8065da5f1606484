import Engine
import Protocol
import Testing
import Worker

@Suite struct WorkerSessionTests: SessionSuite {
    /// A coordinator with the previous version refuses by version: the next hello states that version, and later ones
    /// the worker's own again.
    @Test func anOlderCoordinatorIsSpokenToInItsVersion() throws {
        var state = State(options: options())
        func versions(_ event: State.Event) -> [UInt32] {
            state.handle(event, at: .zero).compactMap { action in
                switch action {
                case .send(.hello(let hello)): hello.version
                case .reconnect: 0
                default: nil
                }
            }
        }
        func refusal(_ version: UInt32) -> State.Event {
            let model = ModelIdentity(digest: "d", path: "p")
            var refusal = CoordinatorMessage.Refusal(.init(model: model), reason: "another version")
            refusal.version = version
            return .received(.refusal(refusal))
        }
        #expect(versions(.connected) == [protocolVersion])
        #expect(versions(refusal(oldestProtocolVersion)) == [0])
        #expect(versions(.connected) == [oldestProtocolVersion])
        var welcome = CoordinatorMessage.Welcome(heartbeat: .seconds(1), timeout: .seconds(50))
        welcome.version = oldestProtocolVersion
        #expect(versions(.received(.welcome(welcome))) == [])
        // The worker sends no reports, because that version does not know them.
        let later = state.handle(.tick, at: .seconds(30))
        #expect(later.count == 1)
        guard case .send(.heartbeat)? = later.first else {
            Issue.record("\(later)")
            return
        }
        #expect(versions(.received(.goodbye(.unknown))) == [0])
        #expect(versions(.connected) == [protocolVersion])
        // A refusal in the version that the worker stated has another reason.
        #expect(versions(refusal(protocolVersion)) == [])
    }

    @Test func aDamagedTaskIsAskedForAgain() {
        var script = Script.serving()
        _ = script.on(.received(.job(both)))
        #expect(script.on(.malformed(.damaged(UnitID(3)))) == ["damaged u3", "ask 1"])
        // It is unknown what the message was: the connection ends, and nobody is blamed.
        #expect(script.on(.malformed(.damaged(nil))) == ["goodbye", "reconnect 100"])
    }

    @Test func aWorkerTellsOfItsHost() {
        var script = Script.serving()
        let inquiry = Inquiry(number: 7, floats: 3)
        #expect(script.on(.received(.inquiry(inquiry))) == ["report 7 3"])
        #expect(script.on(.received(.heartbeat), after: .seconds(4)) == [])
        #expect(script.on(.received(.heartbeat), after: .seconds(4)) == [])
        #expect(script.on(.received(.heartbeat), after: .seconds(4)) == [])
        #expect(script.on(.tick) == ["heartbeat", "report 0 0"])
        #expect(script.on(.tick) == [])
    }

    @Test func aWelcomedWorkerAsksForWork() {
        var script = Script()
        #expect(script.on(.connected) == ["hello"])
        #expect(
            script.on(.received(.welcome(.init(heartbeat: .seconds(1), timeout: .seconds(5)))))
                == ["ask 2"]
        )
    }

    /// Tokens of a picture: requested once, by whichever part comes first, and again over another connection.
    @Test func partsWaitForTheirKeys() {
        let tokens = [Embedding(context: Tensor(zeros: [1, 3, 2])), text]
        func part(_ unit: UInt64) -> State.Event {
            let part = PicturePart(norm: 1, attention: tokens.map(\.digest))
            let work = WorkUnit(.autoencode(.decoder, part), input: Tensor(zeros: [1, 1, 1, 4]))
            return .received(.task(.init(id: UnitID(unit), job: 1, unit: work)))
        }
        var script = Script.serving()
        _ = script.on(.received(.job(both)))
        #expect(script.on(part(1)) == ["wanted 2"])
        #expect(script.on(part(2)) == [])
        #expect(script.on(.received(.embedding(text.digest, text))) == [])
        #expect(
            script.on(.received(.embedding(tokens[0].digest, tokens[0]))) == ["compute u1"]
        )
        #expect(script.on(finished(1)) == ["answer u1", "ask 1", "compute u2"])
    }

    @Test func promptsAreAskedForOnceAndViewsWaitForThem() {
        var script = Script.serving()
        #expect(script.on(.received(.job(both))) == [])
        #expect(script.on(task(1)) == ["wanted 2"])
        #expect(script.on(.received(.embedding(text.digest, text))) == [])
        #expect(script.on(.received(.embedding(negative.digest, negative))) == ["compute u1"])
        #expect(script.on(task(2)) == [])
        #expect(script.on(finished(1)) == ["answer u1", "ask 1", "compute u2"])
        // The same prompts in another job are already here.
        #expect(script.on(.received(.job(.init(id: 2)))) == [])
        #expect(script.on(task(3, job: 2)) == [])
        #expect(script.on(finished(2)) == ["answer u2", "ask 1", "compute u3"])
    }

    /// Views that fit together are computed together, and twice as many are requested; tiles stay alone.
    @Test func compatibleViewsAreComputedTogether() {
        var changed = options()
        changed.batches = BatchSizes(limit: 3)
        var script = Script(changed)
        #expect(script.on(.connected) == ["hello"])
        #expect(
            script.on(.received(.welcome(.init(heartbeat: .seconds(1), timeout: .seconds(5)))))
                == ["ask 2", "batch 3", "ask 4"]
        )
        _ = script.on(.received(.job(both)))
        for unit: UInt64 in 1...4 { _ = script.on(task(unit)) }
        _ = script.on(task(5, decode: true))
        _ = script.on(task(6))
        _ = script.on(.received(.embedding(text.digest, text)))
        #expect(
            script.on(.received(.embedding(negative.digest, negative))) == ["compute u1 u2 u3"]
        )
        // The batch is cancelled only when none of its views is needed.
        #expect(script.on(.received(.abandon([UnitID(2)]))) == [])
        #expect(script.on(finished(1)) == ["answer u1", "ask 1"])
        #expect(script.on(finished(2)) == ["answer u2", "ask 1"])
        #expect(script.on(finished(3)) == ["answer u3", "ask 1", "compute u4 u6"])
        #expect(script.on(.received(.abandon([UnitID(4), UnitID(6)]))) == ["cancel"])
        #expect(script.on(finished(4)) == ["answer u4", "ask 1"])
        #expect(script.on(finished(6)) == ["answer u6", "ask 1", "compute u5"])
        // The device's memory allows one view at a time.
        #expect(script.on(.fitted(1)) == ["batch 1"])
        _ = script.on(task(7))
        _ = script.on(task(8))
        #expect(script.on(finished(5)) == ["answer u5", "ask 1", "compute u7"])
    }

    /// Requested embeddings may never arrive when their units are abandoned: a later unit requests them again.
    @Test func abandonedUnitsDropTheirRequests() {
        var script = Script.serving()
        _ = script.on(.received(.job(both)))
        #expect(script.on(task(1)) == ["wanted 2"])
        #expect(script.on(.received(.abandon([UnitID(1)]))) == ["ask 1"])
        #expect(script.on(task(2)) == ["wanted 2"])
    }

    @Test func tilesNeedNoPrompts() {
        var script = Script.serving()
        _ = script.on(.received(.job(both)))
        #expect(script.on(task(1, decode: true)) == ["compute u1"])
    }

    @Test func anEmbeddingWithAWrongDigestIsRejected() {
        var script = Script.serving()
        _ = script.on(.received(.job(both)))
        _ = script.on(task(1))
        _ = script.on(.received(.embedding(negative.digest, negative)))
        // It is requested again.
        #expect(script.on(.received(.embedding(text.digest, negative))) == ["wanted 1"])
        #expect(script.on(.received(.embedding(text.digest, text))) == ["compute u1"])
    }

    @Test func aTaskOfAnUnknownJobIsAFailure() {
        var script = Script.serving()
        #expect(script.on(task(1)) == ["failure u1", "ask 1"])
    }

    @Test func failuresAreReportedAndUnitsRequestedAgain() {
        var script = Script.serving()
        _ = script.on(.received(.job(both)))
        _ = script.on(task(1, decode: true))
        let failed = State.Event.finished(
            UnitID(1),
            microseconds: 1,
            .failure(.failed("no weights"))
        )
        #expect(script.on(failed) == ["failure u1", "ask 1"])
    }

    @Test func abandonedUnitsAreDroppedFromTheQueueOnly() {
        var script = Script.serving()
        _ = script.on(.received(.job(both)))
        _ = script.on(task(1, decode: true))
        _ = script.on(task(2, decode: true))
        #expect(script.on(.received(.abandon([UnitID(1), UnitID(2)]))) == ["ask 1", "cancel"])
        #expect(script.on(finished(1)) == ["answer u1", "ask 1"])
    }

    @Test func heartbeatsFlowWhenNothingElseDoes() {
        var script = Script.serving()
        #expect(script.on(.tick, after: .milliseconds(500)) == [])
        #expect(script.on(.tick, after: .milliseconds(500)) == ["heartbeat"])
        #expect(script.on(.tick, after: .milliseconds(500)) == [])
    }

    @Test func theCurrentUnitIsCancelledWhenItIsAbandoned() {
        var script = Script.serving()
        _ = script.on(.received(.job(both)))
        #expect(script.on(task(1, decode: true)) == ["compute u1"])
        #expect(script.on(task(2, decode: true)) == [])
        #expect(script.on(.received(.abandon([UnitID(1)]))) == ["cancel"])
        let ended = State.Event.finished(UnitID(1), microseconds: 1, .failure(.cancelled))
        #expect(script.on(ended) == ["ask 1", "compute u2"])
        // It may have been computed by then: then its answer is like any other.
        #expect(script.on(.received(.abandon([UnitID(2)]))) == ["cancel"])
        #expect(script.on(finished(2)) == ["answer u2", "ask 1"])
        #expect(script.on(task(3, decode: true)) == ["compute u3"])
        #expect(script.on(.received(.goodbye(.unknown))) == ["cancel", "reconnect 100"])
    }

    @Test func answersUseTheJobsWireFormat() throws {
        var session = State(options: options())
        var answers: [WorkerMessage.Answer] = []
        for event: State.Event in [
            .connected, .received(.welcome(.init(heartbeat: .seconds(1), timeout: .seconds(5)))),
            .received(
                .job(.init(id: 1, wire: .f16))
            ),
            task(1, decode: true), finished(1),
        ] {
            for case .send(.answer(let answer)) in session.handle(event, at: .zero) {
                answers.append(answer)
            }
        }
        #expect(answers.map(\.wire) == [.f16])
    }

    @Test func aSilentCoordinatorIsCalledAgainAndOldResultsAreDropped() {
        var script = Script.serving()
        _ = script.on(.received(.job(both)))
        _ = script.on(task(1, decode: true))
        #expect(script.on(.tick, after: .seconds(6)) == ["cancel", "reconnect 100"])
        #expect(script.on(.connected) == ["hello"])
        _ = script.on(.received(.welcome(.init(heartbeat: .seconds(1), timeout: .seconds(5)))))
        _ = script.on(.received(.job(both)))
        // Another unit with the same number waits until the worker is idle.
        #expect(script.on(task(1, decode: true)) == [])
        #expect(script.on(finished(1)) == ["compute u1"])
        #expect(script.on(finished(1)) == ["answer u1", "ask 1"])
    }

    @Test func backoffGrowsUntilAWelcome() {
        var script = Script()
        var pauses: [String] = []
        for _ in 0..<8 {
            _ = script.on(.connected)
            pauses += script.on(.tick, after: .seconds(6))
        }
        #expect(
            pauses
                == [100, 200, 400, 800, 1600, 3200, 5000, 5000].map { "reconnect \($0)" }
        )
        _ = script.on(.connected)
        _ = script.on(.received(.welcome(.init(heartbeat: .seconds(1), timeout: .seconds(5)))))
        #expect(script.on(.received(.goodbye(.unknown))) == ["reconnect 100"])
    }

    @Test func aLocalChildEndsWithItsCoordinatorAndOthersWaitForIt() {
        var child = Script.serving(options(localChild: true))
        #expect(child.on(.received(.goodbye(.leaving))) == ["end dismissed"])
        var other = Script.serving()
        #expect(other.on(.received(.goodbye(.leaving))) == ["reconnect 100"])
    }

    @Test func stoppingSaysGoodbye() {
        var script = Script.serving()
        #expect(script.on(.stop) == ["goodbye", "end stopped"])
        #expect(script.on(.tick, after: .seconds(60)) == [])
        var calling = Script()
        _ = calling.on(.connected)
        #expect(calling.on(.stop) == ["end stopped"])
    }

    @Test func aRefusalEndsTheWorker() {
        var script = Script()
        _ = script.on(.connected)
        let refusal = CoordinatorMessage.Refusal(
            WorkerRequirements(model: ModelIdentity(digest: "e", path: "q")),
            reason: "other model"
        )
        #expect(script.on(.received(.refusal(refusal))) == ["end refused"])
    }

    /// A worker that computes as one coordinator requires, and not as its options say, does so for that coordinator
    /// only.
    @Test func aSessionMayEndWithItsConnection() {
        var ends = options()
        ends.endsWithConnection = true
        var script = Script.serving(ends)
        #expect(script.on(.received(.goodbye(.leaving))) == ["end disconnected"])
        script = Script.serving(ends)
        #expect(script.on(.tick, after: .seconds(6)) == ["end disconnected"])
    }
}
