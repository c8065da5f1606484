import Engine
import Protocol
import Testing
import Worker

/// Devices that compute one batch while the next is uploaded.
@Suite struct WorkerSessionBatchTests: SessionSuite {
    /// A session that has its prompts and computes batches of up to `size` views, two batches at once.
    private func deep(_ size: Int = 1) -> Script {
        var deeper = options()
        (deeper.depth, deeper.batches) = (2, BatchSizes(limit: size))
        var script = Script.serving(deeper)
        script.numbersBatches = true
        join(&script)
        return script
    }

    private func join(_ script: inout Script) {
        _ = script.on(.received(.job(both)))
        for embedding in [text, negative] {
            _ = script.on(.received(.embedding(embedding.digest, embedding)))
        }
    }

    @Test func aSecondBatchIsPassedOnAhead() {
        var script = deep()
        // The prompts are already here, although they were not requested.
        #expect(script.on(task(1)) == ["compute u1"])
        #expect(script.on(task(2)) == ["compute u2"])
        #expect(script.on(task(3)) == [])
        #expect(script.on(finished(1)) == ["answer u1", "ask 1", "compute u3"])
        #expect(script.on(finished(2)) == ["answer u2", "ask 1"])
        #expect(script.on(finished(3)) == ["answer u3", "ask 1"])
        #expect(script.on(task(4)) == ["compute u4"])
    }

    /// A partial batch waits: passed on ahead, the first view that arrives would be a batch by itself.
    @Test func onlyFullBatchesArePassedOnAhead() {
        var script = deep(2)
        #expect(script.on(task(1)) == ["compute u1"])
        #expect(script.on(task(2)) == [])
        #expect(script.on(task(3)) == ["compute u2 u3"])
        #expect(script.on(task(4)) == [])
        #expect(script.on(finished(1)) == ["answer u1", "ask 1"])
        #expect(script.on(finished(2)) == ["answer u2", "ask 1"])
        // Now it is this view's turn.
        #expect(script.on(finished(3)) == ["answer u3", "ask 1", "compute u4"])
    }

    /// Tiles are not passed on ahead; views behind one are.
    @Test func tilesAreComputedInTheirTurn() {
        var script = deep()
        #expect(script.on(task(1)) == ["compute u1"])
        #expect(script.on(task(2, decode: true)) == [])
        #expect(script.on(task(3)) == [])
        #expect(script.on(finished(1)) == ["answer u1", "ask 1", "compute u2", "compute u3"])
        #expect(script.on(finished(2)) == ["answer u2", "ask 1"])
    }

    @Test func eachBatchIsCancelledForItself() {
        let cancelled = State.Event.finished(UnitID(1), microseconds: 0, .failure(.cancelled))
        var script = deep()
        _ = script.on(task(1))
        _ = script.on(task(2))
        #expect(script.on(.received(.abandon([UnitID(1)]))) == ["cancel 1"])
        #expect(script.on(.received(.abandon([UnitID(1)]))) == [])
        #expect(script.on(cancelled) == ["ask 1"])
        #expect(script.on(finished(2)) == ["answer u2", "ask 1"])
        _ = script.on(task(3))
        _ = script.on(task(4))
        #expect(script.on(.received(.abandon([UnitID(4)]))) == ["cancel 4"])
        #expect(script.on(finished(3)) == ["answer u3", "ask 1"])
        #expect(
            script.on(.finished(UnitID(4), microseconds: 0, .failure(.cancelled))) == ["ask 1"]
        )
        _ = script.on(task(5))
        _ = script.on(task(6))
        #expect(
            script.on(.received(.abandon([UnitID(6), UnitID(5)]))) == ["cancel 5", "cancel 6"]
        )
    }

    /// Both batches are cancelled, and nothing of the new connection is passed on before they have ended.
    @Test func oldBatchesEndBeforeThoseOfAnotherConnection() {
        var script = deep()
        _ = script.on(task(1))
        _ = script.on(task(2))
        #expect(
            script.on(.received(.goodbye(.unknown))) == ["cancel 1", "cancel 2", "reconnect 100"]
        )
        _ = script.on(.connected)
        _ = script.on(.received(.welcome(.init(heartbeat: .seconds(1), timeout: .seconds(5)))))
        join(&script)
        #expect(script.on(task(2)) == [])
        #expect(script.on(task(1)) == [])
        #expect(script.on(finished(1)) == [])
        #expect(script.on(finished(2)) == ["compute u2", "compute u1"])
        #expect(script.on(finished(2)) == ["answer u2", "ask 1"])
        #expect(script.on(finished(1)) == ["answer u1", "ask 1"])
        _ = script.on(task(3))
        _ = script.on(task(4))
        #expect(script.on(.stop) == ["goodbye", "end stopped"])
    }

    /// A smaller limit applies to batches that have not been passed on yet.
    @Test func sizesMayShrinkWhileTwoAreUnderway() {
        var script = deep(2)
        for unit: UInt64 in 1...5 { _ = script.on(task(unit)) }
        #expect(script.on(.fitted(1)) == ["batch 1"])
        #expect(script.on(finished(1)) == ["answer u1", "ask 1", "compute u4"])
        #expect(script.on(finished(2)) == ["answer u2", "ask 1"])
        #expect(script.on(finished(3)) == ["answer u3", "ask 1", "compute u5"])
    }
}
