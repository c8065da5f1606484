import Coordinator
import Protocol
import Testing

private let (w1, w2, w3) = (WorkerID(1), WorkerID(2), WorkerID(3))
private let (x, y) = (HostID("x"), HostID("y"))

private func u(_ number: UInt64) -> UnitID { UnitID(number) }

/// Units that are computed a second time, and sites that answered wrongly.
@Suite struct DispatcherCheckTests {
    private func makeScript(_ workers: [(WorkerID, HostID)]) throws -> DispatcherScript {
        var script = DispatcherScript()
        for (worker, site) in workers {
            try script.on(.joined(worker, site: site))
            try script.on(.asked(worker, 2))
        }
        return script
    }

    @Test func aCheckGoesToAnotherSite() throws {
        var script = try makeScript([(w1, x), (w2, x), (w3, y)])
        #expect(
            try script.on(.submitted([u(1), u(2)], checks: [u(1): [x]])) == [
                .assign(u(1), to: w3, attempt: 1), .assign(u(2), to: w1, attempt: 1),
            ]
        )
        #expect(try script.on(.answered(u(1), by: w3)) == [.accept(u(1))])
        #expect(try script.on(.answered(u(2), by: w1)) == [.accept(u(2)), .complete])
    }

    @Test func withoutAnotherSiteItIsSkipped() throws {
        var script = try makeScript([(w1, x), (w2, x)])
        #expect(
            try script.on(.submitted([u(1), u(2)], checks: [u(1): [x]])) == [
                .assign(u(2), to: w1, attempt: 1), .skip(u(1)),
            ]
        )
        #expect(try script.on(.answered(u(2), by: w1)) == [.accept(u(2)), .complete])
        // The batch has nothing else in it.
        #expect(try script.on(.submitted([u(3)], checks: [u(3): [x]])) == [.skip(u(3)), .complete])
    }

    @Test func itIsSkippedWhenItsWorkerIsLostOrRefuses() throws {
        var script = try makeScript([(w1, x), (w3, y)])
        try script.on(.submitted([u(1), u(2)], checks: [u(1): [x]]))
        let actions = try script.on(.lost(w3, .vanished))
        #expect(actions == [.skip(u(1))])
        #expect(try script.on(.answered(u(2), by: w1)) == [.accept(u(2)), .complete])

        script = try makeScript([(w1, x), (w3, y)])
        try script.on(.submitted([u(1), u(2)], checks: [u(1): [x]]))
        #expect(try script.on(.refused(u(1), by: w3, reason: "no")) == [.skip(u(1))])
    }

    /// Even if the check is first in line and the batch is long.
    @Test func aBarredWorkerNeverGetsACheck() throws {
        var script = try makeScript([(w1, x)])
        try script.on(.joined(w3, site: y))
        var actions = try script.on(
            .submitted((1...40).map(u), checks: [u(1): [x], u(2): [x], u(3): [x]])
        )
        for _ in 0..<80 {
            guard let unit = script.state.held(by: w1).first else { break }
            actions += try script.on(.answered(unit, by: w1), after: .milliseconds(10))
            actions += try script.on(.asked(w1, 1))
        }
        for check in 1...3 {
            #expect(!actions.contains(.assign(u(UInt64(check)), to: w1, attempt: 1)))
        }
        // The other worker never asked.
        #expect(actions.contains(.assign(u(40), to: w1, attempt: 1)))
    }

    @Test func aDistrustedSiteGetsNoWork() throws {
        var script = try makeScript([(w1, x), (w2, x), (w3, y)])
        try script.on(.submitted([u(1), u(2), u(3)]))
        let actions = try script.on(.distrusted(x))
        #expect(actions.contains(.setAside(w1)) && actions.contains(.setAside(w2)))
        #expect(script.state.held(by: w1).isEmpty && script.state.held(by: w2).isEmpty)
        // An answer that was already on its way does not count, and a new connection does not help.
        #expect(try script.on(.answered(u(1), by: w1)).isEmpty)
        #expect(try script.on(.joined(WorkerID(4), site: x)) == [.setAside(WorkerID(4))])
        try script.on(.asked(w3, 2))
        for unit in script.state.held(by: w3) { try script.on(.answered(unit, by: w3)) }
        try script.on(.asked(w3, 2))
        for unit in script.state.held(by: w3) { try script.on(.answered(unit, by: w3)) }
        #expect(!script.state.isBusy)

        #expect(script.state.hasWorkersLeft)
        try script.on(.distrusted(y))
        #expect(!script.state.hasWorkersLeft)
        try script.on(.trusted(y))
        #expect(script.state.hasWorkersLeft)

        try script.on(.trusted(x))
        #expect(script.state.activeWorkers == [w1, w2, w3, WorkerID(4)])
    }
}
