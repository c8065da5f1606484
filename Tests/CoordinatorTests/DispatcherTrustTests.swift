import Coordinator
import FleetSimulation
import Protocol
import Testing

private typealias Event = DispatcherState.Event
private typealias Action = DispatcherState.Action
private typealias UnitFailure = DispatcherState.UnitFailure

private let (w1, w2, w3, w4) = (WorkerID(1), WorkerID(2), WorkerID(3), WorkerID(4))
private let (hostA, hostB, hostC) = (HostID("a"), HostID("b"), HostID("c"))

private func u(_ number: UInt64) -> UnitID { UnitID(number) }

private func units(_ range: ClosedRange<UInt64>) -> [UnitID] { range.map { UnitID($0) } }

/// A dispatcher that checks its invariants after every event.
private struct Script {
    var state: DispatcherState
    var time: Duration = .zero
    private var next: UInt64 = 1000

    init(_ change: (inout DispatcherState.Policy) -> Void = { _ in }) {
        var policy = DispatcherState.Policy()
        policy.stall = .seconds(1000)
        policy.silence = .seconds(100_000)
        change(&policy)
        state = DispatcherState(policy: policy)
    }

    @discardableResult
    mutating func on(_ event: Event, after pause: Duration = .zero) throws -> [Action] {
        time += pause
        let actions = state.handle(event, at: time)
        try state.checkInvariants()
        return actions
    }

    /// A worker with credit that has answered nothing yet.
    @discardableResult
    mutating func join(
        _ worker: WorkerID,
        from host: HostID? = nil,
        credit: Int = 8
    ) throws -> [Action] {
        try on(.joined(worker, from: host)) + on(.asked(worker, credit))
    }

    /// A worker that has answered one view in a second, and asks for no more yet. No other worker may have credit.
    mutating func joinProven(_ worker: WorkerID, from host: HostID? = nil) throws {
        try on(.joined(worker, from: host))
        try on(.submitted([u(next)]))
        try on(.asked(worker, 1))
        #expect(state.held(by: worker) == [u(next)])
        try on(.answered(u(next), by: worker), after: .seconds(1))
        next += 1
    }
}

/// Unsolicited answers.
@Suite struct UnaskedAnswerTests {
    @Test func anAnswerToWhatWasNeverGivenEndsTheMembership() throws {
        var script = Script()
        try script.join(w1)
        try script.on(.joined(w2))
        try script.on(.submitted(units(1...3)))
        // It has joined, but answers units without asking for any.
        #expect(try script.on(.answered(u(2), by: w2)) == [.expel(w2, u(2))])
        #expect(script.state.activeWorkers == [w1])
        #expect(try script.on(.answered(u(3), by: w2)) == [])
        #expect(script.state.held(by: w1) == [u(1)])
    }

    @Test func whatAnotherHoldsIsNotOnesOwn() throws {
        var script = Script()
        try script.join(w1)
        try script.join(w2)
        try script.on(.submitted(units(1...2)))
        #expect(script.state.held(by: w2) == [u(2)])
        // The liar's unit waits again, and the liar's answer is not accepted.
        #expect(try script.on(.answered(u(1), by: w2)) == [.expel(w2, u(1))])
        try script.on(.answered(u(1), by: w1))
        #expect(script.state.held(by: w1) == [u(2)])
    }

    @Test func aFailureOfWhatWasNeverGivenIsAFaultToo() throws {
        var script = Script()
        try script.join(w1)
        try script.on(.joined(w2))
        try script.on(.submitted(units(1...2)))
        #expect(
            try script.on(.refused(u(1), by: w2, reason: "no")) == [.expel(w2, u(1))]
        )
        #expect(script.state.held(by: w1) == [u(1)])
    }

    @Test func lateAndRepeatedAnswersAreNoFaults() throws {
        var script = Script()
        try script.join(w1)
        try script.on(.submitted([u(1)]))
        try script.on(.cancelled)
        // It was already on its way.
        #expect(try script.on(.answered(u(1), by: w1)) == [])
        #expect(try script.on(.answered(u(1), by: w1)) == [])
        #expect(try script.on(.refused(u(1), by: w1, reason: "late")) == [])
        // An answer to a unit that nobody was ever given is a fault.
        #expect(try script.on(.answered(u(2), by: w1)) == [.expel(w1, u(2))])
    }

    @Test func anAnswerOfAnEarlierBatchProvesNothing() throws {
        var script = Script { $0.depths = 4...4 }
        try script.join(w1)
        try script.on(.submitted([u(1)]))
        try script.on(.cancelled)
        try script.on(.answered(u(1), by: w1))
        try script.on(.submitted(units(2...9)))
        #expect(script.state.held(by: w1) == [u(2)])
    }

    /// Answering one unit again and again does not make up for failures.
    @Test func repeatedAnswersProveNothing() throws {
        var script = Script()
        try script.joinProven(w1, from: hostA)
        for _ in 0..<5 { try script.on(.answered(u(1000), by: w1)) }
        try script.on(.answered(u(1), by: w1))
        try script.join(w2, from: hostA)
        try script.on(.answered(u(1), by: w2))
        #expect(try script.join(w3, from: hostA) == [.pause(w3, for: .seconds(5))])
    }
}

/// Workers that send heartbeats and answer nothing.
@Suite struct MuteWorkerTests {
    @Test func aWorkerWithoutARecordGetsOneUnit() throws {
        var script = Script { $0.depths = 4...8 }
        try script.join(w1)
        try script.on(.submitted(units(1...9)))
        #expect(script.state.held(by: w1) == [u(1)])
        try script.on(.answered(u(1), by: w1), after: .seconds(1))
        #expect(script.state.held(by: w1) == units(2...5))
    }

    @Test(arguments: DispatcherState.Kind.allCases)
    func anIdleProvenWorkerTakesOverAtOnce(kind: DispatcherState.Kind) throws {
        var script = Script()
        try script.joinProven(w1)
        try script.on(.asked(w1, 8))
        try script.join(w2)
        try script.join(w3)
        try script.on(.submitted(units(1...4), kind: kind))
        #expect(script.state.held(by: w1) == [u(1), u(4)])
        try script.on(.answered(u(1), by: w1), after: .seconds(1))
        #expect(
            try script.on(.answered(u(4), by: w1), after: .seconds(1)) == [
                .accept(u(4)), .assign(u(2), to: w1, attempt: 2),
            ]
        )
        // Nobody waits for a lease to end.
        try script.on(.answered(u(2), by: w1), after: .seconds(1))
        #expect(script.state.held(by: w1) == [u(3)])
        let last = try script.on(.answered(u(3), by: w1), after: .seconds(1))
        #expect(last.contains(.complete))
    }

    @Test(arguments: DispatcherState.Kind.allCases)
    func theOnlyUnitGoesToTheProvenWorker(kind: DispatcherState.Kind) throws {
        var script = Script()
        for worker in [w1, w2, w3] { try script.on(.joined(worker)) }
        // Proven only by views.
        try script.joinProven(w4)
        for worker in [w1, w2, w3, w4] { try script.on(.asked(worker, 8)) }
        #expect(
            try script.on(.submitted([u(1)], kind: kind)) == [.assign(u(1), to: w4, attempt: 1)]
        )
    }

    /// Eight mute workers joined first and no worker is proven; the ninth still gets a copy.
    @Test func whereNobodyIsProvenMoreAreAskedAsTimePasses() throws {
        var script = Script()
        for number in 1...9 { try script.join(WorkerID(number)) }
        try script.on(.submitted([u(1)], kind: .tiles))
        #expect(script.state.held(by: w1) == [u(1)])
        var waited = Duration.zero
        while script.state.held(by: WorkerID(9)).isEmpty, waited < .seconds(10) {
            try script.on(.tick, after: .milliseconds(50))
            waited += .milliseconds(50)
        }
        #expect(waited < .seconds(1))
        #expect(try script.on(.answered(u(1), by: WorkerID(9))).contains(.complete))
    }

    @Test func theFirstLeaseFollowsFromWhatOthersNeed() throws {
        var script = Script { $0.minLease = .seconds(1) }
        try script.joinProven(w1)
        try script.on(.asked(w1, 1))
        try script.join(w2, credit: 1)
        try script.on(.submitted(units(1...2)))
        #expect(script.state.held(by: w2) == [u(2)])
        try script.on(.answered(u(1), by: w1), after: .seconds(1))
        // Four times the second that the other worker needs.
        #expect(try script.on(.tick, after: .milliseconds(2900)) == [])
        #expect(try script.on(.tick, after: .milliseconds(200)) == [.doubt(w2)])
    }

    /// The requirement: a render with eight mute workers that joined first takes at most twice as long. Steps have 13
    /// views, as at twice the native size; the first batch may be a single view.
    @Test(arguments: [1, 13])
    func eightSilentWorkersAtMostDoubleARender(first: Int) {
        func time(mute: Int) -> Double {
            var members = (0..<mute + 1).map { _ in Fleet.Member(pace: 0.5) }
            for index in 0..<mute { members[index].isStuck = true }
            var fleet = Fleet(members)
            return ([first] + Array(repeating: 13, count: 20) + [1]).reduce(0) {
                $0 + fleet.run($1).time
            }
        }
        let (alone, crowded) = (time(mute: 0), time(mute: 8))
        print("beside eight mute workers a render takes \(crowded / alone) of its time")
        #expect(crowded <= 2 * alone)
    }
}

/// Hosts that fail again and again.
@Suite struct SickHostTests {
    @Test func aWorkerThatCrashesAndReturnsKillsNoUnit() throws {
        var script = Script()
        try script.join(w4, from: hostB, credit: 1)
        try script.on(.submitted(units(1...2)))
        // w4 has the first unit and is slow with it; u2 crashes the other worker.
        for number in 10...12 {
            let worker = WorkerID(number)
            let actions = try script.join(worker, from: hostA, credit: 1)
            #expect(!actions.contains { if case .failed = $0 { true } else { false } })
            try script.on(.lost(worker, .vanished))
            try script.on(.tick, after: .seconds(20))
        }
        #expect(script.state.isBusy)
        try script.on(.answered(u(1), by: w4))
        #expect(try script.on(.asked(w4, 1)).contains(.assign(u(2), to: w4, attempt: 2)))
        #expect(try script.on(.answered(u(2), by: w4)).contains(.complete))
    }

    @Test func aHostThatCrashesAgainAndAgainRestsLongerEachTime() throws {
        var script = Script { $0.maxPause = .seconds(15) }
        try script.join(w4, from: hostB)
        for (round, rest) in [nil, nil, 5, 10, 15, 15].enumerated() {
            let worker = WorkerID(10 + round)
            let first = UInt64(round * 10 + 1)
            let actions = try script.join(worker, from: hostA)
            #expect(actions == (rest.map { [.pause(worker, for: .seconds($0))] } ?? []))
            try script.on(.submitted(units(first...(first + 1))))
            if let rest {
                // During its pause it gets nothing.
                #expect(script.state.held(by: worker) == [])
                #expect(script.state.activeWorkers == [w4])
                try script.on(.heard(worker), after: .seconds(rest))
                try script.on(.tick, after: .milliseconds(1))
            }
            #expect(script.state.held(by: worker) == [u(first + 1)])
            try script.on(.lost(worker, .vanished))
            try script.on(.cancelled)
            try script.on(.asked(w4, 1))
        }
        // Another host is not paused.
        #expect(try script.join(w1, from: hostC) == [])
    }

    @Test func goodAnswersMakeUpForFailures() throws {
        var script = Script()
        try script.join(w1, from: hostA)
        try script.on(.submitted(units(1...3)))
        try script.on(.lost(w1, .vanished))
        try script.join(w2, from: hostA)
        try script.on(.answered(u(1), by: w2))
        try script.on(.lost(w2, .vanished))
        #expect(try script.join(w3, from: hostA).contains(.assign(u(2), to: w3, attempt: 2)))
    }

    @Test func threeConnectionsOfOneHostThatSayNoKillNoUnit() throws {
        var script = Script()
        try script.joinProven(w4, from: hostB)
        for worker in [w1, w2, w3] { try script.join(worker, from: hostA, credit: 1) }
        // w4 has not asked for a long time, so nobody waits for it.
        try script.on(.tick, after: .seconds(21))
        try script.on(.submitted([u(1)]))
        for worker in [w1, w2, w3] {
            #expect(script.state.held(by: worker) == [u(1)])
            try script.on(.refused(u(1), by: worker, reason: "no"))
        }
        #expect(script.state.isBusy)
        #expect(try script.on(.asked(w4, 1)) == [.assign(u(1), to: w4, attempt: 4)])
        #expect(try script.on(.answered(u(1), by: w4)).contains(.complete))
    }

    @Test func aUnitThatFailedGoesToAProvenWorkerFirst() throws {
        var script = Script()
        try script.joinProven(w4)
        try script.on(.asked(w4, 1))
        for worker in [w1, w2] { try script.join(worker, credit: 1) }
        try script.on(.submitted(units(1...2)))
        #expect(script.state.held(by: w4) == [u(1)] && script.state.held(by: w1) == [u(2)])
        // w2 is idle, but has no record.
        #expect(try script.on(.refused(u(2), by: w1, reason: "no")) == [])
        try script.on(.answered(u(1), by: w4), after: .seconds(1))
        #expect(try script.on(.asked(w4, 1)) == [.assign(u(2), to: w4, attempt: 2)])
    }

    @Test func threeProvenHostsThatFailAUnitEndTheJob() throws {
        var script = Script()
        let proven = (1...3).map { WorkerID($0) }
        for worker in proven { try script.joinProven(worker) }
        for worker in proven { try script.on(.asked(worker, 1)) }
        for number in 4...6 { try script.join(WorkerID(number)) }
        try script.on(.submitted([u(1)]))
        var last: [Action] = []
        for worker in proven {
            #expect(script.state.held(by: worker) == [u(1)])
            last = try script.on(.lost(worker, .vanished))
        }
        let failures = proven.map { UnitFailure(worker: $0, cause: .lost(.vanished)) }
        #expect(last == [.failed(u(1), failures)])
    }

    /// A unit that kills every worker must not kill a fleet of thousands.
    @Test func eightUnknownHostsThatFailAUnitEndTheJob() throws {
        var script = Script()
        for number in 1...100 { try script.join(WorkerID(number)) }
        try script.on(.submitted([u(1)]))
        for number in 1...8 {
            let actions = try script.on(.lost(WorkerID(number), .vanished))
            #expect(
                actions.contains { if case .failed = $0 { true } else { false } } == (number == 8)
            )
        }
    }

    /// Many hosts without a record refuse a unit before an honest worker has joined: anyone can make up names.
    @Test(arguments: [3, 9]) func aUnitThatUnknownHostsRefusedWaitsForOthers(count: Int) throws {
        var script = Script { $0.grace = .seconds(60) }
        let strangers = (1...count).map { WorkerID($0) }
        for worker in strangers { try script.join(worker, credit: 1) }
        try script.on(.submitted([u(1)]))
        for worker in strangers {
            #expect(script.state.held(by: worker) == [u(1)])
            try script.on(.refused(u(1), by: worker, reason: "no"))
        }
        #expect(script.state.isBusy)
        let honest = WorkerID(count + 1)
        #expect(try script.join(honest).contains(.assign(u(1), to: honest, attempt: count + 1)))
        #expect(try script.on(.answered(u(1), by: honest)).contains(.complete))
    }

    /// A healthy worker that shares its key with a crash-looper is paused with it, but not if nobody else is left.
    @Test func aRestEndsWhereNobodyElseIsLeft() throws {
        var script = Script {
            $0.grace = .seconds(60)
            $0.maxPause = .seconds(300)
        }
        try script.on(.submitted(units(1...2)))
        for number in 1...6 {
            try script.join(WorkerID(number), from: hostA, credit: 1)
            try script.on(.lost(WorkerID(number), .vanished))
            for _ in 0..<4 { try script.on(.tick, after: .seconds(2)) }
        }
        let honest = WorkerID(7)
        try script.join(honest, from: hostA, credit: 1)
        #expect(script.state.held(by: honest) == [])
        var waited = 0
        while script.state.held(by: honest).isEmpty, waited < 30 {
            try script.on(.heard(honest), after: .seconds(1))
            try script.on(.tick)
            waited += 1
        }
        #expect(waited <= 6 && script.state.isBusy)
        for _ in 1...2 {
            let unit = try #require(script.state.held(by: honest).first)
            try script.on(.answered(unit, by: honest))
            try script.on(.asked(honest, 1))
        }
        #expect(!script.state.isBusy)
    }

    /// Three connections from one host refuse a unit before any other host has joined.
    @Test func aUnitThatOneHostFailedWaitsForOthers() throws {
        var script = Script { $0.grace = .seconds(60) }
        for worker in [w1, w2, w3] { try script.join(worker, from: hostA, credit: 1) }
        try script.on(.submitted([u(1)]))
        for worker in [w1, w2, w3] {
            #expect(script.state.held(by: worker) == [u(1)])
            try script.on(.refused(u(1), by: worker, reason: "no"))
        }
        #expect(script.state.isBusy)
        #expect(try script.join(w4, from: hostB) == [.assign(u(1), to: w4, attempt: 4)])
        #expect(try script.on(.answered(u(1), by: w4)).contains(.complete))
        // No other worker joins: after a while the batch ends.
        try script.on(.lost(w4, .left))
        for worker in [w1, w2] { try script.on(.asked(worker, 8)) }
        try script.on(.submitted([u(2)]))
        var last: [Action] = []
        for worker in [w1, w2, w1, w2] {
            #expect(script.state.held(by: worker) == [u(2)])
            let event = Event.refused(u(2), by: worker, reason: "no")
            last = try script.on(event, after: .seconds(20))
            if !script.state.isBusy { break }
        }
        #expect(last.contains { if case .failed(u(2), _) = $0 { true } else { false } })
    }

    /// A single host gets three attempts if no other can join.
    @Test func whereNobodyElseIsLeftThreeAttemptsAreEnough() throws {
        var script = Script { $0.mayOthersJoin = false }
        try script.join(w1, from: hostA)
        try script.on(.submitted([u(1)]))
        for attempt in 1...3 {
            #expect(script.state.held(by: w1) == [u(1)])
            let actions = try script.on(.refused(u(1), by: w1, reason: "NaN"))
            #expect(
                actions.contains { if case .failed = $0 { true } else { false } } == (attempt == 3)
            )
        }
    }

    /// If the only worker is set aside and no other may join, the batch does not wait for the long grace period of
    /// workers that load their weights.
    @Test func whereAllAreSetAsideTheBatchEndsSoon() throws {
        var script = Script {
            $0.mayOthersJoin = false
            $0.grace = .seconds(600)
        }
        try script.join(w1, from: hostA)
        try script.on(.submitted((1...8).map(u)))
        try script.on(.answered(u(1), by: w1))
        for _ in 1...3 {
            let unit = try #require(script.state.held(by: w1).first)
            try script.on(.refused(unit, by: w1, reason: "NaN"))
        }
        #expect(script.state.held(by: w1).isEmpty)
        var seconds = 0
        while script.state.isBusy, seconds < 600 {
            try script.on(.heard(w1), after: .seconds(1))
            seconds += 1
        }
        #expect((25...40).contains(seconds), "\(seconds)")
    }
}
