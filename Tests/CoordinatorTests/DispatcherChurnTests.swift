import Coordinator
import Protocol
import Testing

private let (w1, w2, w3) = (WorkerID(1), WorkerID(2), WorkerID(3))

private func u(_ number: UInt64) -> UnitID { UnitID(number) }

private func units(_ range: ClosedRange<UInt64>) -> [UnitID] { range.map { UnitID($0) } }

/// A dispatcher that checks its invariants after every event, with workers whose units take seconds.
private struct Script {
    var base: DispatcherScript
    private var next: UInt64 = 100_000

    init() {
        base = DispatcherScript {
            $0.stall = .seconds(1000)
            $0.silence = .seconds(100_000)
        }
    }

    var state: DispatcherState { base.state }

    @discardableResult
    mutating func on(
        _ event: DispatcherState.Event,
        after seconds: Int = 0
    ) throws -> [DispatcherState.Action] {
        try base.on(event, after: .seconds(seconds))
    }

    /// A worker that has answered one view in `pace` seconds, and asks for no more yet.
    mutating func join(_ worker: WorkerID, from host: String? = nil, pace: Int) throws {
        try on(.joined(worker, from: host.map { HostID($0) }))
        try on(.submitted([u(next)]))
        try on(.asked(worker, 1))
        try on(.answered(u(next), by: worker, spent: .seconds(pace)), after: pace)
        next += 1
    }

    /// A fleet in which some workers leave while they hold a unit, and others answer.
    mutating func loseSome(_ losses: Int, answers: Int) throws {
        for number in 0..<losses + answers {
            let worker = WorkerID(1000 + number)
            try on(.joined(worker))
            try on(.asked(worker, 1))
            try on(.submitted([u(next)]))
            if number < losses {
                try on(.lost(worker, .vanished), after: 10)
                try on(.cancelled)
            } else {
                try on(.answered(u(next), by: worker, spent: .seconds(10)), after: 10)
                try on(.lost(worker, .left))
            }
            next += 1
        }
    }
}

/// Fleets whose workers come and go.
@Suite struct DispatcherChurnTests {
    @Test func aLongUnitIsSentShortlyBeforeItIsNeeded() throws {
        var script = Script()
        try script.join(w1, pace: 10)
        try script.on(.asked(w1, 16))
        try script.on(.submitted(units(1...8)))
        #expect(script.state.held(by: w1) == [u(1)])
        try script.on(.tick, after: 6)
        #expect(script.state.held(by: w1) == [u(1)])
        try script.on(.tick, after: 2)
        #expect(script.state.held(by: w1) == [u(1), u(2)])
    }

    @Test func shortUnitsAreSentAhead() throws {
        var script = Script()
        try script.join(w1, pace: 1)
        try script.on(.asked(w1, 16))
        try script.on(.submitted(units(1...8)))
        #expect(script.state.held(by: w1) == [u(1), u(2)])
    }

    @Test func aWorkerThatComesBackIsAsFastAsItWas() throws {
        // The quick worker finishes both units sooner than the slow one finishes one.
        #expect(try unitsOfASlowWorker(thatWas: "slow") == [])
        #expect(try unitsOfASlowWorker(thatWas: "another") == [u(2)])
    }

    /// - Returns: which of two units it gets, depending on whether its host was there before
    private func unitsOfASlowWorker(thatWas host: String) throws -> [UnitID] {
        var script = Script()
        try script.join(w1, from: "quick", pace: 10)
        try script.join(w2, from: "slow", pace: 30)
        try script.on(.lost(w2, .left))
        try script.on(.joined(w3, from: HostID(host)))
        try script.on(.asked(w1, 16))
        try script.on(.asked(w3, 1))
        try script.on(.submitted(units(1...2)))
        #expect(script.state.held(by: w1).first == u(1))
        return script.state.held(by: w3)
    }

    @Test func whereWorkersLeaveTheLastUnitsAreInsured() throws {
        var script = Script()
        try script.loseSome(1, answers: 1)
        try script.join(w1, pace: 10)
        try script.join(w2, pace: 10)
        for worker in [w1, w2] { try script.on(.asked(worker, 16)) }
        // This worker is not faster than the other: its copy is insurance against losing the other.
        let actions = try script.on(.submitted([u(1)]))
        #expect(script.state.held(by: w1) == [u(1)])
        #expect(script.state.held(by: w2) == [u(1)], "\(actions)")
        #expect(try script.on(.lost(w1, .vanished), after: 5) == [])
        #expect(
            try script.on(.answered(u(1), by: w2, spent: .seconds(10)), after: 5)
                == [.accept(u(1)), .complete]
        )
    }

    @Test func whereNobodyLeavesNothingIsInsured() throws {
        var script = Script()
        try script.join(w1, pace: 10)
        try script.join(w2, pace: 10)
        for worker in [w1, w2] { try script.on(.asked(worker, 16)) }
        try script.on(.submitted([u(1)]))
        #expect(script.state.held(by: w1) == [u(1)])
        #expect(script.state.held(by: w2) == [])
    }

    /// In a fleet that loses one unit in a hundred along with its worker, some unit will be lost three times.
    @Test func aUnitThatIsLostByChanceDoesNotFail() throws {
        #expect(try losses(beforeFailureWith: 8) == 4)
        #expect(try losses(beforeFailureWith: 0) == 3)
    }

    /// - Returns: how many workers had lost the unit when it failed
    private func losses(beforeFailureWith others: Int) throws -> Int {
        var script = Script()
        try script.loseSome(others, answers: 600)
        for number in 1...8 {
            try script.join(WorkerID(number), pace: 10)
        }
        for number in 1...8 { try script.on(.asked(WorkerID(number), 16)) }
        try script.on(.submitted([u(1)]))
        for count in 1...8 {
            guard
                let holder = (1...8).first(where: {
                    script.state.held(by: WorkerID($0)).contains(u(1))
                })
            else { return -1 }
            let actions = try script.on(.lost(WorkerID(holder), .vanished), after: 1)
            if actions.contains(where: { if case .failed = $0 { true } else { false } }) {
                return count
            }
        }
        return 8
    }
}
