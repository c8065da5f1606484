import Coordinator
import Protocol
import Testing

private typealias Event = DispatcherState.Event
private typealias Action = DispatcherState.Action
private typealias Home = DispatcherState.Home

private let (w1, w2, w3) = (WorkerID(1), WorkerID(2), WorkerID(3))

private func u(_ number: UInt64) -> UnitID { UnitID(number) }

private func assign(_ unit: UInt64, _ worker: WorkerID, _ attempt: Int = 1) -> Action {
    .assign(u(unit), to: worker, attempt: attempt)
}

extension DispatcherScript {
    /// Workers that have evaluated one view each, in one second.
    fileprivate mutating func join(_ workers: WorkerID..., credit: Int = 2) throws {
        try joinTimed(workers.map { ($0, 1) }, credit: credit)
    }

    /// Tiles with homes, numbered from `first`; each costs 1 there and 9 elsewhere.
    fileprivate mutating func submit(_ homes: [WorkerID?], from first: UInt64 = 1) throws
        -> [Action]
    {
        try on(
            .submitted(
                homes.indices.map { u(first + UInt64($0)) },
                kind: .tiles,
                homes: homes.map { Home(worker: $0, costElsewhere: 9) }
            )
        )
    }

    /// Workers that have evaluated one view each, in the given number of seconds.
    fileprivate mutating func joinTimed(_ workers: [(id: WorkerID, seconds: Int)], credit: Int)
        throws
    {
        for worker in workers {
            try on(.joined(worker.id))
            try on(.asked(worker.id, 1))
        }
        let views = workers.indices.map { u(1000 + UInt64($0)) }
        try on(.submitted(views))
        for (view, worker) in zip(views, workers).sorted(by: { $0.1.seconds < $1.1.seconds }) {
            try on(.answered(view, by: worker.id), after: .seconds(worker.seconds) - time)
        }
        for worker in workers { try on(.asked(worker.id, credit)) }
    }
}

@Suite struct DispatcherHomesTests {
    /// Tiles go to their homes, and wait for them even while another worker is idle. When a home is lost, its tiles go
    /// elsewhere.
    @Test func tilesGoToTheirHomes() throws {
        var script = DispatcherScript()
        try script.join(w1, w2)
        #expect(
            try script.submit([w2, w2, w2, w1]) == [assign(1, w2), assign(2, w2), assign(4, w1)]
        )
        #expect(try script.on(.answered(u(4), by: w1), after: .seconds(1)) == [.accept(u(4))])
        #expect(try script.on(.asked(w1, 1)) == [])
        #expect(try script.on(.tick, after: .milliseconds(100)) == [])
        #expect(
            try script.on(.lost(w2, .vanished)) == [assign(1, w1, 2), assign(2, w1, 2)]
        )
        try script.on(.answered(u(1), by: w1), after: .seconds(9))
        #expect(try script.on(.asked(w1, 1)) == [assign(3, w1)])
        try script.on(.answered(u(2), by: w1), after: .seconds(9))
        #expect(try script.on(.answered(u(3), by: w1)) == [.accept(u(3)), .complete])
    }

    @Test func aHomeThatFinishesATileGetsTheNext() throws {
        var script = DispatcherScript()
        try script.join(w1, w2)
        #expect(try script.submit([w1, w1, w1]) == [assign(1, w1), assign(2, w1)])
        #expect(try script.on(.answered(u(1), by: w1), after: .seconds(1)) == [.accept(u(1))])
        #expect(try script.on(.asked(w1, 1)) == [assign(3, w1)])
    }

    /// New tiles are divided by pace: of twelve, a worker that is three times as fast gets nine.
    @Test func newTilesAreDividedByPace() throws {
        var script = DispatcherScript { $0.depths = 16...16 }
        try script.joinTimed([(w1, 1), (w2, 3)], credit: 16)
        let actions = try script.submit(Array(repeating: nil, count: 12))
        let first = actions.count {
            if case .assign(_, w1, _) = $0 { return true }
            return false
        }
        #expect(actions.count == 12 && first == 9)
    }

    /// Planned homes are kept even if another worker is free first.
    @Test func plannedHomesAreWaitedFor() throws {
        var script = DispatcherScript()
        try script.join(w1, w2)
        #expect(
            try script.submit(Array(repeating: nil, count: 6)) == [
                assign(1, w1), assign(2, w2), assign(3, w1), assign(4, w2),
            ]
        )
        for unit in [UInt64(1), 3] {
            try script.on(.answered(u(unit), by: w1), after: .milliseconds(100))
        }
        #expect(try script.on(.asked(w1, 2)) == [assign(5, w1)])
        try script.on(.answered(u(2), by: w2), after: .milliseconds(100))
        #expect(try script.on(.asked(w2, 1)) == [assign(6, w2)])
    }

    /// A home that holds nothing and asks for nothing is not waited for.
    @Test func aHomeThatNeverAsksLosesItsTiles() throws {
        var script = DispatcherScript()
        try script.join(w1, w2, credit: 1)
        #expect(try script.submit([w1, w1]) == [assign(1, w1)])
        #expect(
            try script.on(.answered(u(1), by: w1), after: .seconds(1)) == [
                .accept(u(1)), assign(2, w2),
            ]
        )
    }

    /// A home that hangs loses its tile: an idle worker starts over once the home has taken longer than starting over
    /// would.
    @Test func aLateHomeIsOvertaken() throws {
        var script = DispatcherScript()
        try script.join(w1, w2)
        _ = try script.submit([w1, w2])
        try script.on(.answered(u(1), by: w1), after: .seconds(1))
        try script.on(.answered(u(2), by: w2))
        try script.on(.asked(w1, 1))
        try script.on(.asked(w2, 1))
        #expect(try script.submit([w1, w2], from: 3) == [assign(3, w1), assign(4, w2)])
        try script.on(.answered(u(4), by: w2), after: .seconds(1))
        #expect(try script.on(.asked(w2, 1)) == [])
        var waited = 0
        var actions: [Action] = []
        while actions.isEmpty, waited < 30 {
            waited += 1
            for worker in [w1, w2] { try script.on(.heard(worker)) }
            actions = try script.on(.tick, after: .seconds(1))
        }
        // Starting over costs nine seconds, and the home is late after half as much again.
        #expect(
            actions == [assign(3, w2, 2)] && (10...16).contains(waited),
            "\(waited): \(actions)"
        )
        #expect(
            try script.on(.answered(u(3), by: w2), after: .seconds(9)).suffix(1) == [.complete]
        )
    }

    /// A unit that its home cannot compute goes to another worker.
    @Test func aTileThatItsHomeSpoilsGoesElsewhere() throws {
        var script = DispatcherScript()
        try script.join(w1, w2)
        #expect(try script.submit([w1]) == [assign(1, w1)])
        #expect(
            try script.on(.refused(u(1), by: w1, reason: "NaN")) == [assign(1, w2, 2)]
        )
        #expect(try script.on(.answered(u(1), by: w2)) == [.accept(u(1)), .complete])
    }

    /// If a home no longer keeps the tile, any worker may start over. This is not a failure, even if it happens often.
    @Test func aMissedTileGoesToAnyWorker() throws {
        var script = DispatcherScript()
        try script.join(w1, w2, credit: 8)
        for round in 1...UInt64(5) {
            #expect(try script.submit([w1], from: round) == [assign(round, w1)])
            let actions = try script.on(.missed(u(round), by: w1))
            guard actions.count == 1, case .assign(u(round), let worker, 2)? = actions.first else {
                Issue.record("\(actions)")
                return
            }
            try script.on(.answered(u(round), by: worker))
            try script.on(.asked(w1, 1))
        }
        // Only the worker that was given a unit may report it as missed.
        #expect(try script.on(.missed(u(99), by: w2)) == [.expel(w2, u(99))])
    }

    /// If homes are gone or never existed, for every tile, any worker takes the tiles.
    @Test func unknownHomesAreNoHomes() throws {
        var script = DispatcherScript()
        try script.join(w1, w2)
        #expect(
            try script.submit([w3, WorkerID(99)]) == [assign(1, w1), assign(2, w2)]
        )
    }
}
