import Coordinator
import FleetSimulation
import Protocol
import Testing

/// Simulated fleets in which some workers answer wrongly, found by a render's checks.
@Suite struct CheckedFleetTests {
    private func members(liars: Set<Int>, interval: Int = 1) -> [Fleet.Member] {
        (0..<20).map { index in
            var member = Fleet.Member(pace: 0.1)
            member.host = "host \(index)"
            member.lieInterval = liars.contains(index) ? interval : nil
            return member
        }
    }

    private func hosts(_ numbers: Int...) -> Set<HostID> {
        Set(numbers.map { HostID("host \($0)") })
    }

    private let steps = Array(repeating: 60, count: 10)

    @Test func honestFleetsAreNotBlamed() {
        var fleet = CheckedFleet(Fleet(members(liars: [])), ownPace: 0.1)
        let outcome = fleet.run(steps, isLast: true)
        #expect(fleet.found.isEmpty && outcome.thrownAway == 0 && outcome.views == 600)
        // One first check of each host, and one view in a hundred; some of these checks are audited.
        #expect((20...40).contains(outcome.checks), "\(outcome.checks)")
    }

    /// New hosts are checked once in any case.
    @Test func newHostsThatAlwaysLieAreFound() {
        var fleet = CheckedFleet(Fleet(members(liars: [3])), ownPace: 0.1)
        let outcome = fleet.run(steps, isLast: true)
        #expect(fleet.found == hosts(3) && fleet.liars == hosts(3))
        // Its answers are thrown away along with their step, and computed again.
        #expect(outcome.thrownAway >= 60 && outcome.views == 600 + outcome.thrownAway)
    }

    /// Every answer is checked, by hosts of which another one lies, so the coordinator decides.
    @Test func allLiarsAreFoundWhereAllIsChecked() {
        var fleet = CheckedFleet(
            Fleet(members(liars: [3, 7], interval: 10)),
            share: .all,
            ownPace: 0.1
        )
        let outcome = fleet.run(steps, isLast: true)
        #expect(fleet.found == hosts(3, 7))
        #expect(outcome.checks >= 600)
    }

    /// Known hosts have one answer in a hundred checked, so most occasional errors go unnoticed.
    @Test func knownHostsThatLieSeldomAreMostlyNotFound() {
        let all = Set((0..<20).map { HostID("host \($0)") })
        let found = (1...20).count { seed in
            var fleet = CheckedFleet(
                Fleet(members(liars: [3], interval: 30)),
                seed: UInt64(seed),
                known: Array(all),
                ownPace: 0.1
            )
            _ = fleet.run(steps, isLast: true)
            #expect(fleet.liars == hosts(3))
            return !fleet.found.isEmpty
        }
        #expect(found < 10, "\(found)")
    }
}
