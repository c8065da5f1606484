import Coordinator
import Protocol
import Testing

private typealias Event = DispatcherState.Event
private typealias Action = DispatcherState.Action

private let (w1, w2, w3, w4) = (WorkerID(1), WorkerID(2), WorkerID(3), WorkerID(4))

private func u(_ number: UInt64) -> UnitID { UnitID(number) }

private func units(_ range: ClosedRange<UInt64>) -> [UnitID] { range.map { UnitID($0) } }

/// Workers with known paces, and a clock in milliseconds.
private struct Script {
    var state: DispatcherState
    var time: Duration = .zero
    private var next: UInt64 = 1000

    init(_ change: (inout DispatcherState.Policy) -> Void = { _ in }) {
        var policy = DispatcherState.Policy()
        policy.minLease = .milliseconds(1)
        policy.minDelay = .milliseconds(1)
        policy.stall = .seconds(1000)
        policy.silence = .seconds(1000)
        change(&policy)
        state = DispatcherState(policy: policy)
    }

    @discardableResult
    mutating func on(_ event: Event, after milliseconds: Int = 0) throws -> [Action] {
        time += .milliseconds(milliseconds)
        let actions = state.handle(event, at: time)
        try state.checkInvariants()
        return actions
    }

    /// A worker with credit that has answered one unit in `pace` milliseconds.
    mutating func join(_ worker: WorkerID, pace: Int, credit: Int = 2) throws {
        try on(.joined(worker))
        // It is the only worker with credit, so the unit goes to it.
        try on(.submitted([u(next)]))
        try on(.asked(worker, 1))
        try on(.answered(u(next), by: worker), after: pace)
        next += 1
        credits.append((worker, credit))
    }

    /// Gives all workers their credit.
    mutating func open() throws {
        for (worker, credit) in credits { try on(.asked(worker, credit)) }
    }

    private var credits: [(WorkerID, Int)] = []
}

@Suite struct DispatcherLeaseTests {
    @Test func aWorkerThatBeatsButDoesNotAnswerLosesItsUnits() throws {
        var script = Script { $0.copies = 1 }
        try script.join(w1, pace: 100, credit: 1)
        try script.join(w2, pace: 100, credit: 1)
        try script.open()
        try script.on(.submitted(units(1...2)))
        try script.on(.answered(u(2), by: w2), after: 100)
        try script.on(.asked(w2, 1))
        try script.on(.heard(w1), after: 290)
        #expect(try script.on(.tick) == [])
        #expect(try script.on(.tick, after: 20) == [.doubt(w1), .assign(u(1), to: w2, attempt: 2)])
        #expect(script.state.activeWorkers == [w2])
        // Its late answer is as good as any other.
        #expect(
            try script.on(.answered(u(1), by: w1)) == [
                .accept(u(1)), .abandon(u(1), at: w2), .complete,
            ]
        )
        #expect(script.state.activeWorkers == [w1, w2])
    }

    @Test func theFirstLeaseIsLong() throws {
        var script = Script { $0.firstLease = .seconds(60) }
        try script.on(.joined(w1))
        try script.on(.asked(w1, 1))
        try script.on(.submitted([u(1)]))
        #expect(try script.on(.tick, after: 60_000) == [])
        #expect(try script.on(.tick, after: 1) == [.doubt(w1)])
        #expect(try script.on(.answered(u(1), by: w1)) == [.accept(u(1)), .complete])
    }

    @Test func whoNeverAnswersIsSetAsideAndTheBatchEnds() throws {
        var script = Script {
            $0.firstLease = .seconds(1)
            $0.grace = .seconds(5)
        }
        try script.on(.joined(w1))
        try script.on(.submitted([u(1)]))
        for time in 1...3 {
            // It drops what it was given, and asks for more.
            #expect(try script.on(.asked(w1, 1)) == [.assign(u(1), to: w1, attempt: time)])
            // It is at least as slow as observed so far, so its lease grows.
            let actions = try script.on(.tick, after: [1001, 4100, 16_500][time - 1])
            #expect(actions == [.doubt(w1)] + (time == 3 ? [.setAside(w1)] : []))
        }
        #expect(try script.on(.asked(w1, 1)) == [])
        #expect(try script.on(.tick, after: 5000) == [.abandon(u(1), at: w1), .noWorkersLeft])
    }

    /// A worker that is merely slow does not count as a death of its unit.
    @Test func leasesThatEndAreNotBlamedOnTheUnit() throws {
        var script = Script { $0.firstLease = .seconds(1) }
        for number in 1...5 { try script.on(.joined(WorkerID(number))) }
        try script.on(.submitted([u(1)]))
        for number in 1...5 {
            #expect(
                try script.on(.asked(WorkerID(number), 1)) == [
                    .assign(u(1), to: WorkerID(number), attempt: number)
                ]
            )
            #expect(try script.on(.tick, after: 1001) == [.doubt(WorkerID(number))])
        }
        #expect(
            try script.on(.answered(u(1), by: w3)) == [
                .accept(u(1)), .abandon(u(1), at: w1), .abandon(u(1), at: w2),
                .abandon(u(1), at: w4), .abandon(u(1), at: WorkerID(5)), .complete,
            ]
        )
    }

    @Test func anIdleWorkerTakesACopyOfTheSlowestUnit() throws {
        var script = Script { $0.depths = 1...1 }
        try script.join(w1, pace: 1000, credit: 1)
        try script.join(w2, pace: 900, credit: 1)
        try script.join(w3, pace: 100, credit: 1)
        try script.open()
        try script.on(.submitted(units(1...12)))
        #expect(script.state.held(by: w3) == [u(1)])
        #expect(script.state.held(by: w2) == [u(2)])
        #expect(script.state.held(by: w1) == [u(3)])
        for unit in [1] + Array(4...11) {
            try script.on(.answered(u(UInt64(unit)), by: w3), after: 60)
            try script.on(.asked(w3, 1))
        }
        #expect(script.state.held(by: w3) == [u(12)])
        #expect(try script.on(.answered(u(12), by: w3), after: 60) == [.accept(u(12))])
        // Both would take far longer than starting over, and w1 the longest.
        #expect(try script.on(.asked(w3, 1)) == [.assign(u(3), to: w3, attempt: 2)])
        #expect(
            try script.on(.answered(u(3), by: w3), after: 60) == [
                .accept(u(3)), .abandon(u(3), at: w1),
            ]
        )
        #expect(try script.on(.answered(u(3), by: w1)) == [])
        #expect(try script.on(.asked(w3, 1)) == [.assign(u(2), to: w3, attempt: 2)])
        // The first answer wins, whichever worker sends it.
        #expect(
            try script.on(.answered(u(2), by: w2)) == [
                .accept(u(2)), .abandon(u(2), at: w3), .complete,
            ]
        )
    }

    @Test func equalWorkersCopyNothing() throws {
        var script = Script()
        try script.join(w1, pace: 100)
        try script.join(w2, pace: 100)
        try script.open()
        try script.on(.submitted(units(1...2)))
        try script.on(.answered(u(1), by: w1), after: 60)
        #expect(try script.on(.asked(w1, 1)) == [])
        #expect(try script.on(.tick, after: 50) == [])
        // …until the other worker is late.
        #expect(try script.on(.tick, after: 60) == [.assign(u(2), to: w1, attempt: 2)])
        #expect(
            try script.on(.answered(u(2), by: w1), after: 60) == [
                .accept(u(2)), .doubt(w2), .abandon(u(2), at: w2), .complete,
            ]
        )
        // While in doubt, it gets nothing until it shows that it is working.
        try script.on(.asked(w1, 1))
        try script.on(.submitted(units(3...6)))
        #expect(script.state.held(by: w1) == [u(3), u(4)])
        #expect(script.state.held(by: w2) == [])
        try script.on(.asked(w2, 1))
        #expect(script.state.held(by: w2) == [u(5)])
    }

    @Test func aSlowWorkerGetsNothingThatItWouldHoldUp() throws {
        var script = Script { $0.depths = 2...2 }
        try script.join(w1, pace: 1000)
        try script.join(w2, pace: 100)
        try script.open()
        // w2 needs 900 ms for all nine.
        try script.on(.submitted(units(1...9)))
        #expect(script.state.held(by: w1) == [])
        for unit in 1...9 {
            let actions = try script.on(.answered(u(UInt64(unit)), by: w2), after: 100)
            #expect(actions.contains(.complete) == (unit == 9))
            try script.on(.asked(w2, 1))
            #expect(script.state.held(by: w1) == [])
        }
        // Of thirty it gets two, since it will finish them before the other worker finishes the rest.
        try script.on(.submitted(units(11...40)))
        #expect(script.state.held(by: w1).count == 2)
    }

    @Test func depthHidesTheRoundTrip() throws {
        var script = Script { $0.depths = 1...8 }
        try script.on(.joined(w1))
        try script.on(.asked(w1, 32))
        try script.on(.submitted(units(1...40)))
        #expect(script.state.held(by: w1).count == 1)
        // It computed for 10 of 40 ms, so 30 ms were spent in transit. 1 + ⌈1.25 · 30 / 10⌉ units hide that.
        try script.on(.answered(u(1), by: w1, spent: .milliseconds(10)), after: 40)
        #expect(script.state.held(by: w1).count == 5)
    }

    @Test func depthIsBoundedWhateverAWorkerClaims() throws {
        var script = Script { $0.depths = 1...8 }
        try script.on(.joined(w1))
        try script.on(.asked(w1, 32))
        try script.on(.submitted(units(1...40)))
        try script.on(.answered(u(1), by: w1, spent: .zero), after: 400)
        #expect(script.state.held(by: w1).count == 8)
    }

    /// A worker whose computation hangs still drops the units that it has not begun, and asks again.
    @Test func droppingWhatWasNotBegunProvesNothing() throws {
        var script = Script { $0.probation = .seconds(20) }
        try script.join(w1, pace: 100, credit: 2)
        try script.on(.asked(w1, 2))
        try script.on(.submitted(units(1...2)))
        #expect(try script.on(.tick, after: 401) == [.abandon(u(2), at: w1), .doubt(w1)])
        #expect(try script.on(.asked(w1, 1)) == [])
        #expect(script.state.activeWorkers == [])
        // Eventually it gets another chance.
        #expect(
            try script.on(.tick, after: 20_001) == [.assign(u(1), to: w1, attempt: 2)]
        )
    }

    @Test func aWorkerThatClaimsToBeAlwaysBusyIsNotTrusted() throws {
        var script = Script { $0.grace = .seconds(1) }
        try script.on(.joined(w1))
        try script.on(.asked(w1, 3))
        try script.on(.submitted(units(1...3)))
        for unit in 1...2 {
            let answer = Event.answered(u(UInt64(unit)), by: w1, spent: .seconds(1_000_000))
            try script.on(answer, after: 10)
        }
        #expect(try script.on(.tick, after: 1000) == [.doubt(w1)])
        #expect(try script.on(.tick, after: 1000) == [.abandon(u(3), at: w1), .noWorkersLeft])
    }
}
