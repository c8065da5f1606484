import Coordinator
import Protocol
import TestSupport
import Testing

private func units(_ count: UInt64) -> [UnitID] { (1...count).map { UnitID($0) } }

/// How often a site got something other than the unit that follows its last one.
private func breaks(_ given: [UnitID]) -> Int {
    zip(given, given.dropFirst()).count { $0.rawValue + 1 != $1.rawValue }
}

@Suite struct StripsTests {
    @Test func aSingleSiteTakesThemInOrder() {
        var (strips, left, given): (Strips, [UnitID], [UnitID]) = (Strips(), units(20), [])
        while !left.isEmpty {
            given.append(left.remove(at: strips.take(for: 7, from: left, rank: 0)))
        }
        #expect(given == units(20))
    }

    /// Sites of different speeds, including workers without a relay.
    @Test(arguments: 1...20 as ClosedRange<UInt64>)
    func everythingIsTakenOnceAndMostlyNeighbours(seed: UInt64) {
        var random = SplitMix(seed)
        let sites: [Int?] = [nil, 1, 2, 2, 2, 3]
        var (strips, left): (Strips, [UnitID]) = (Strips(), units(400))
        var given: [Int?: [UnitID]] = [:]
        while !left.isEmpty {
            let site = sites[Int.random(in: 0..<sites.count, using: &random)]
            given[site, default: []].append(
                left.remove(at: strips.take(for: site, from: left, rank: 0))
            )
        }
        #expect(given.values.joined().sorted() == units(400))
        #expect(given.values.reduce(0) { $0 + breaks($1) } < 40)
    }

    /// What other sites began in one step does not affect the next step.
    @Test func everyRankBeginsAnew() {
        var strips = Strips()
        #expect(strips.take(for: 1, from: units(9), rank: 0) == 0)
        #expect(strips.take(for: 2, from: units(9).dropFirst(), rank: 0) == 4)
        #expect(strips.take(for: 2, from: units(9), rank: 1) == 0)
    }
}

/// Workers behind two relays, and one without.
@Suite struct RelayedDispatchTests {
    private static let relays: [WorkerID: HostID] = [
        WorkerID(1): HostID("r"), WorkerID(2): HostID("s"), WorkerID(3): HostID("r"),
        WorkerID(4): HostID("s"),
    ]

    /// Each site's units are consecutive, although its workers take turns with the others'.
    @Test func aSiteGetsNeighbours() throws {
        var script = DispatcherScript()
        for number in 1...5 {
            let (id, host) = (WorkerID(number), HostID("host \(number)"))
            let site = Self.relays[id]
            try script.on(.joined(id, from: host, site: site, behindRelay: site != nil))
            try script.on(.asked(id, 4))
        }
        var given: [HostID?: [UnitID]] = [:]
        var accepted = 0
        func note(_ actions: [DispatcherState.Action]) {
            for action in actions {
                switch action {
                case .assign(let unit, let id, 1): given[Self.relays[id], default: []].append(unit)
                case .accept: accepted += 1
                default: break
                }
            }
        }
        note(try script.on(.submitted(units(300))))
        var turn = 0
        while accepted < 300, turn < 10_000 {
            turn += 1
            let id = WorkerID(turn % 5 + 1)
            guard let unit = script.state.held(by: id).first else { continue }
            note(try script.on(.answered(unit, by: id), after: .milliseconds(20)))
            note(try script.on(.asked(id, 1)))
        }
        #expect(accepted == 300)
        #expect(given.values.joined().sorted() == units(300))
        for (site, units) in given where site != nil { #expect(breaks(units) < 8, "\(units)") }
    }

    /// A failed unit goes wherever it may, whatever its neighbours are.
    @Test func whatFailedGoesElsewhere() throws {
        var script = DispatcherScript()
        for number in 1...4 {
            let id = WorkerID(number)
            try script.on(
                .joined(id, from: HostID("\(number)"), site: Self.relays[id], behindRelay: true)
            )
            try script.on(.asked(id, 2))
        }
        try script.on(.submitted(units(40)))
        let unit = try #require(script.state.held(by: WorkerID(1)).first)
        try script.on(.refused(unit, by: WorkerID(1), reason: "no"))
        for turn in 0..<400 {
            let id = WorkerID(turn % 4 + 1)
            guard let held = script.state.held(by: id).first else { continue }
            if held == unit {
                #expect(id != WorkerID(1))
                return
            }
            try script.on(.answered(held, by: id), after: .milliseconds(20))
            try script.on(.asked(id, 1))
        }
        Issue.record("\(unit) was forgotten")
    }
}
