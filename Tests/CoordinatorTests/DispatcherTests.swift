import Coordinator
import Protocol
import Testing

private typealias Event = DispatcherState.Event
private typealias Action = DispatcherState.Action
private typealias UnitFailure = DispatcherState.UnitFailure

private let (w1, w2, w3, w4) = (WorkerID(1), WorkerID(2), WorkerID(3), WorkerID(4))

private func u(_ number: UInt64) -> UnitID { UnitID(number) }

private func units(_ count: UInt64) -> [UnitID] { (1...count).map { UnitID($0) } }

extension DispatcherScript {
    /// Workers with credit, two units by default.
    fileprivate mutating func join(_ workers: WorkerID..., credit: Int = 2) throws {
        for worker in workers {
            try on(.joined(worker))
            try on(.asked(worker, credit))
        }
    }
}

@Suite struct DispatcherTests {
    @Test func unitsGoToTheWorkerThatHoldsTheFewest() throws {
        var script = DispatcherScript()
        try script.join(w1, w2)
        #expect(
            try script.on(.submitted(units(5))) == [
                .assign(u(1), to: w1, attempt: 1), .assign(u(2), to: w2, attempt: 1),
                .assign(u(3), to: w1, attempt: 1), .assign(u(4), to: w2, attempt: 1),
            ]
        )
        #expect(try script.on(.answered(u(2), by: w2)) == [.accept(u(2))])
        #expect(try script.on(.asked(w2, 1)) == [.assign(u(5), to: w2, attempt: 1)])
    }

    @Test func noWorkerGetsMoreThanItRequested() throws {
        var script = DispatcherScript()
        try script.join(w1, credit: 1)
        #expect(try script.on(.submitted(units(2))) == [.assign(u(1), to: w1, attempt: 1)])
        #expect(try script.on(.answered(u(1), by: w1)) == [.accept(u(1))])
        #expect(try script.on(.asked(w1, 1)) == [.assign(u(2), to: w1, attempt: 1)])
        #expect(try script.on(.answered(u(2), by: w1)) == [.accept(u(2)), .complete])
    }

    /// A worker that computes four units at once holds eight; its lease is for four, and its pace is a quarter of their
    /// time.
    @Test func aWorkerMayComputeSeveralUnitsTogether() throws {
        var script = DispatcherScript()
        func wait(_ seconds: Int) throws {
            for _ in 0..<seconds { try script.on(.heard(w1), after: .seconds(1)) }
        }
        try script.join(w1, credit: 16)
        try script.on(.batches(w1, 4))
        try script.on(.submitted(units(1)))
        try wait(4)
        try script.on(.answered(u(1), by: w1, spent: .seconds(4)))
        try script.on(.submitted(Array(units(17).dropFirst())))
        try script.on(.asked(w1, 1))
        #expect(script.state.held(by: w1).count == 8)
        // Four times the usual time for one unit has passed, which is not late for four units.
        try wait(17)
        #expect(try script.on(.tick) == [])
        for unit: UInt64 in 2...5 {
            let spent: Duration = unit == 2 ? .seconds(17) : .zero
            #expect(
                try script.on(.answered(u(unit), by: w1, spent: spent), after: .milliseconds(1))
                    .contains(.accept(u(unit)))
            )
            try script.on(.asked(w1, 1))
        }
        #expect(script.state.held(by: w1).count == 8)
        // It is alive, but its batch takes four times as long as usual, so everything goes back.
        var doubted = false
        for _ in 0..<80 where !doubted {
            try wait(1)
            doubted = try script.on(.tick).contains(.doubt(w1))
        }
        #expect(doubted && script.state.held(by: w1).isEmpty)
    }

    @Test func creditIsBounded() throws {
        var script = DispatcherScript {
            $0.credit = 3
            $0.depths = 8...8
        }
        try script.join(w1, credit: 1_000_000)
        #expect(try script.on(.submitted(units(5))).count == 3)
    }

    @Test func creditOutlivesABatch() throws {
        var script = DispatcherScript()
        try script.join(w1)
        try script.on(.submitted([u(1)]))
        #expect(try script.on(.answered(u(1), by: w1)) == [.accept(u(1)), .complete])
        #expect(try script.on(.submitted([u(2)])) == [.assign(u(2), to: w1, attempt: 1)])
    }

    @Test func whoeverJoinsInTheMiddleTakesWorkOffAQueue() throws {
        var script = DispatcherScript()
        try script.join(w1)
        try script.on(.submitted(units(2)))
        try script.on(.joined(w2))
        #expect(
            try script.on(.asked(w2, 2)) == [
                .abandon(u(2), at: w1), .assign(u(2), to: w2, attempt: 2),
            ]
        )
    }

    @Test func theUnitsOfADeadWorkerAreGivenToOthers() throws {
        var script = DispatcherScript()
        try script.join(w1, w2)
        try script.on(.submitted(units(4)))
        #expect(try script.on(.lost(w1, .vanished)) == [])
        #expect(try script.on(.answered(u(2), by: w2)) == [.accept(u(2))])
        #expect(try script.on(.asked(w2, 1)) == [.assign(u(1), to: w2, attempt: 2)])
        try script.on(.answered(u(4), by: w2))
        #expect(try script.on(.asked(w2, 1)) == [.assign(u(3), to: w2, attempt: 2)])
        try script.on(.answered(u(1), by: w2))
        #expect(try script.on(.answered(u(3), by: w2)) == [.accept(u(3)), .complete])
    }

    @Test func aSilentWorkerIsEvicted() throws {
        var script = DispatcherScript { $0.silence = .seconds(3) }
        try script.join(w1, w2, credit: 1)
        try script.on(.submitted(units(2)))
        for _ in 0..<3 {
            try script.on(.heard(w2), after: .seconds(1))
            #expect(try script.on(.tick) == [])
        }
        try script.on(.heard(w2), after: .seconds(1))
        #expect(try script.on(.tick) == [.evict(w1)])
        try script.on(.asked(w2, 1))
        // Its late answer is ignored.
        #expect(try script.on(.answered(u(1), by: w1)) == [])
    }

    @Test func aJumpOfTheClockEvictsNobody() throws {
        var script = DispatcherScript()
        try script.join(w1)
        try script.on(.submitted([u(1)]))
        #expect(try script.on(.tick, after: .seconds(86_400)) == [])
        #expect(try script.on(.tick, after: .seconds(-86_400)) == [])
        #expect(try script.on(.answered(u(1), by: w1)) == [.accept(u(1)), .complete])
    }

    @Test func theFirstAnswerCountsAndOthersAreIgnored() throws {
        var script = DispatcherScript()
        try script.join(w1)
        try script.on(.submitted(units(2)))
        try script.join(w2)  // takes u2 off w1's queue
        // w1 had begun it after all, and answers first.
        #expect(
            try script.on(.answered(u(2), by: w1)) == [.accept(u(2)), .abandon(u(2), at: w2)]
        )
        #expect(try script.on(.answered(u(2), by: w2)) == [])
        #expect(try script.on(.answered(u(2), by: w2)) == [])
        #expect(try script.on(.answered(u(1), by: w1)) == [.accept(u(1)), .complete])
        #expect(try script.on(.answered(u(1), by: w1)) == [])
    }

    @Test func aRefusedUnitIsTriedElsewhere() throws {
        var script = DispatcherScript()
        try script.join(w1, w2, credit: 1)
        try script.on(.submitted([u(1)]))
        #expect(
            try script.on(.refused(u(1), by: w1, reason: "NaN")) == [
                .assign(u(1), to: w2, attempt: 2)
            ]
        )
        // When every worker has failed it, even one of them may try again.
        try script.on(.refused(u(1), by: w2, reason: "NaN"))
        #expect(try script.on(.asked(w1, 1)) == [.assign(u(1), to: w1, attempt: 3)])
    }

    @Test func aUnitWaitsForAWorkerThatHasNotFailedIt() throws {
        var script = DispatcherScript()
        try script.join(w1, w2, credit: 1)
        try script.on(.submitted(units(2)))
        #expect(try script.on(.refused(u(1), by: w1, reason: "NaN")) == [])
        #expect(try script.on(.asked(w1, 1)) == [])
        try script.on(.answered(u(2), by: w2))
        #expect(try script.on(.asked(w2, 1)) == [.assign(u(1), to: w2, attempt: 2)])
    }

    /// A step ends with its last unit, so a lost unit waits for a fast worker even if a slow one is idle.
    @Test(arguments: [true, false])
    func aFailedUnitWaitsForAFasterWorker(isFastOneStuck: Bool) throws {
        var script = DispatcherScript()
        try script.join(w1, w2, w3, credit: 1)
        try script.on(.submitted(units(3)))
        // w2 takes 10 s for what the others do in 1 s.
        try script.on(.answered(u(1), by: w1), after: .seconds(1))
        try script.on(.answered(u(3), by: w3))
        try script.on(.answered(u(2), by: w2), after: .seconds(9))
        try script.on(.asked(w1, 1))
        try script.on(.asked(w3, 1))
        try script.on(.submitted([u(4), u(5)]))
        #expect(script.state.held(by: w1) == [u(4)] && script.state.held(by: w3) == [u(5)])
        try script.on(.asked(w2, 1))
        #expect(
            try script.on(.refused(u(5), by: w3, reason: "NaN"), after: .milliseconds(500)) == []
        )
        if isFastOneStuck {
            // The fast worker is late, and nobody knows when it will be done.
            let actions = try script.on(.tick, after: .milliseconds(1500))
            #expect(actions.contains(.assign(u(5), to: w2, attempt: 2)))
        } else {
            try script.on(.answered(u(4), by: w1), after: .milliseconds(500))
            #expect(try script.on(.asked(w1, 1)) == [.assign(u(5), to: w1, attempt: 2)])
        }
    }

    /// A worker that is too slow for the few urgent units takes what can wait.
    @Test func slowWorkersGetWhatIsNeededLater() throws {
        var script = DispatcherScript()
        try script.join(w1, w2, credit: 1)
        try script.on(.submitted(units(2)))
        try script.on(.answered(u(1), by: w1), after: .seconds(1))
        try script.on(.answered(u(2), by: w2), after: .seconds(9))
        try script.on(.asked(w1, 1))
        #expect(try script.on(.submitted([u(3)])) == [.assign(u(3), to: w1, attempt: 1)])
        try script.on(.added([u(4)], rank: 1))
        try script.on(.added((5...20).map { u($0) }, rank: 2))
        // w1 will have finished u4 before w2 could, but not all the others.
        #expect(try script.on(.asked(w2, 1)) == [.assign(u(5), to: w2, attempt: 1)])
        try script.on(.answered(u(3), by: w1), after: .seconds(1))
        #expect(try script.on(.asked(w1, 1)) == [.assign(u(4), to: w1, attempt: 1)])
    }

    @Test func addedUnitsBelongToTheBatch() throws {
        var script = DispatcherScript()
        try script.join(w1, credit: 2)
        try script.on(.submitted([u(1)]))
        #expect(try script.on(.added([u(9)], rank: 3)) == [.assign(u(9), to: w1, attempt: 1)])
        #expect(try script.on(.answered(u(1), by: w1)) == [.accept(u(1))])
        #expect(try script.on(.answered(u(9), by: w1)) == [.accept(u(9)), .complete])
        // Units added to a batch that has ended are ignored.
        try script.on(.asked(w1, 2))
        #expect(try script.on(.added([u(10)], rank: 3)) == [])
        #expect(!script.state.isBusy)
    }

    /// Units that nobody needs soon are dropped unless a worker has begun them.
    @Test func withdrawnUnitsAreDroppedUnlessBegun() throws {
        var script = DispatcherScript()
        try script.join(w1, credit: 2)
        try script.on(.submitted([u(1)]))
        #expect(
            try script.on(.added([u(5), u(6)], rank: 1)) == [.assign(u(5), to: w1, attempt: 1)]
        )
        #expect(try script.on(.withdrawn([u(5), u(6), u(7)])) == [.drop(u(6))])
        #expect(try script.on(.answered(u(1), by: w1)) == [.accept(u(1))])
        #expect(try script.on(.answered(u(5), by: w1)) == [.accept(u(5)), .complete])
        // If nothing else is left, the batch is complete.
        try script.on(.asked(w1, 1))
        try script.on(.submitted([u(8)]))
        try script.on(.added([u(9)], rank: 1))
        #expect(try script.on(.answered(u(8), by: w1)) == [.accept(u(8))])
        #expect(try script.on(.withdrawn([u(9)])) == [.drop(u(9)), .complete])
    }

    /// A long series of steps is one batch, which holds only its open units.
    @Test func unitsOfEarlierStepsAreForgotten() throws {
        var script = DispatcherScript { $0.depths = 1...1 }
        try script.join(w1, w2, credit: 1)
        try script.on(.submitted([u(1), u(2)]))
        for step in 1..<200 {
            try script.on(.added([u(UInt64(2 * step + 1)), u(UInt64(2 * step + 2))], rank: step))
            for (worker, unit) in [(w1, 2 * step - 1), (w2, 2 * step)] {
                try script.on(.answered(u(UInt64(unit)), by: worker))
                try script.on(.asked(worker, 1))
            }
            #expect(script.state.unitsInBatch <= 4)
        }
    }

    @Test func threeBadAnswersSetAWorkerAside() throws {
        var script = DispatcherScript { $0.depths = 8...8 }
        try script.join(w1, credit: 4)
        try script.join(w2, credit: 8)
        try script.on(.submitted(units(8)))
        #expect(script.state.held(by: w1) == [u(1), u(3), u(5), u(7)])
        try script.on(.refused(u(1), by: w1, reason: "NaN"))
        try script.on(.refused(u(3), by: w1, reason: "NaN"))
        let actions = try script.on(.refused(u(5), by: w1, reason: "NaN"))
        #expect(actions.prefix(2) == [.setAside(w1), .abandon(u(7), at: w1)])
        #expect(script.state.activeWorkers == [w2])
        #expect(script.state.held(by: w2) == [2, 4, 6, 8, 1, 3, 5, 7].map { u($0) })
        #expect(try script.on(.asked(w1, 1)) == [])
    }

    @Test func aUnitThatKillsEveryWorkerFails() throws {
        var script = DispatcherScript()
        try script.join(w1, w2, w3, w4, credit: 1)
        try script.on(.submitted(units(1)))
        #expect(try script.on(.lost(w1, .vanished)) == [.assign(u(1), to: w2, attempt: 2)])
        #expect(try script.on(.lost(w2, .vanished)) == [.assign(u(1), to: w3, attempt: 3)])
        #expect(try script.on(.lost(w3, .vanished)) == [.assign(u(1), to: w4, attempt: 4)])
        #expect(
            try script.on(.lost(w4, .vanished)) == [
                .failed(
                    u(1),
                    [w1, w2, w3, w4].map { UnitFailure(worker: $0, cause: .lost(.vanished)) }
                )
            ]
        )
        #expect(!script.state.isBusy)
    }

    @Test func unitsThatOnlyWaitedAtADeadWorkerAreNotBlamed() throws {
        var script = DispatcherScript()
        for number in 1...3 {
            let worker = WorkerID(number)
            try script.join(worker)
            if number == 1 { try script.on(.submitted(units(9))) }
            try script.on(.lost(worker, .vanished))
        }
        // u1 was being computed each time and has failed; a fourth death does not count against any other unit.
        #expect(!script.state.isBusy)
        try script.join(w4)
        try script.on(.submitted(units(2)))
        try script.on(.lost(w4, .left))
        #expect(script.state.isBusy)
    }

    @Test func aGoodbyeBlamesNobody() throws {
        var script = DispatcherScript()
        for number in 1...10 {
            try script.join(WorkerID(number))
            if number == 1 { try script.on(.submitted(units(2))) }
            #expect(script.state.held(by: WorkerID(number)) == units(2))
            #expect(try script.on(.lost(WorkerID(number), .left)) == [])
        }
    }

    @Test func aBatchWithoutWorkersFailsAfterATimeout() throws {
        var script = DispatcherScript { $0.grace = .seconds(5) }
        try script.on(.submitted(units(2)))
        for _ in 0..<4 { #expect(try script.on(.tick, after: .seconds(1)) == []) }
        try script.join(w1)
        try script.on(.lost(w1, .left))
        for _ in 0..<4 { #expect(try script.on(.tick, after: .seconds(1)) == []) }
        #expect(try script.on(.tick, after: .seconds(1)) == [.noWorkersLeft])
    }

    @Test func workersThatAreSetAsideDoNotCount() throws {
        var script = DispatcherScript {
            $0.grace = .seconds(1)
            $0.maxFailures = 9
            $0.depths = 3...3
        }
        try script.join(w1, credit: 3)
        try script.on(.submitted(units(9)))
        for number in 1...3 { try script.on(.refused(u(UInt64(number)), by: w1, reason: "NaN")) }
        try script.on(.heard(w1))
        #expect(try script.on(.tick, after: .seconds(1)) == [.noWorkersLeft])
    }

    @Test func thereIsNoWaitIfNoWorkerCanJoin() throws {
        var script = DispatcherScript()
        try script.join(w1)
        try script.on(.closed)
        try script.on(.submitted(units(1)))
        #expect(try script.on(.lost(w1, .vanished)) == [.noWorkersLeft])
        #expect(try script.on(.submitted(units(1))) == [.noWorkersLeft])
    }

    @Test func cancelTakesBackWhatIsHeld() throws {
        var script = DispatcherScript()
        try script.join(w1, w2, credit: 1)
        try script.on(.submitted(units(3)))
        #expect(try script.on(.cancelled) == [.abandon(u(1), at: w1), .abandon(u(2), at: w2)])
        #expect(try script.on(.answered(u(1), by: w1)) == [])
        #expect(try script.on(.cancelled) == [])
    }

    @Test func strangersChangeNothing() throws {
        var script = DispatcherScript()
        for event: Event in [
            .asked(w1, 5), .heard(w1), .answered(u(1), by: w1), .lost(w1, .left),
            .lost(w1, .vanished),
            .refused(u(1), by: w1, reason: ""), .tick,
        ] {
            #expect(try script.on(event) == [])
        }
        try script.join(w2)
        try script.on(.submitted(units(1)))
        #expect(try script.on(.answered(u(1), by: w1)) == [])
    }

    @Test func theStoryTellsWhatHappened() throws {
        var script = DispatcherScript()
        try script.join(w1)
        for i in 0..<1000 {
            try script.on(.submitted([UnitID(UInt64(i))]))
            try script.on(.answered(UnitID(UInt64(i)), by: w1))
            try script.on(.asked(w1, 1))
            try script.on(.tick)
        }
        let lines = script.state.trace.split(separator: "\n")
        #expect(lines.count == 256)
        #expect(lines.last?.contains("asked(w1, 1)") == true)
        #expect(!script.state.trace.contains("tick"))
    }
}
