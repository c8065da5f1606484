import Coordinator
import FleetSimulation
import Protocol
import TestSupport
import Testing

@Suite struct FleetTests {
    /// 1 Gbit/s and a round trip of 20 ms, half of it each way.
    private func far(pace: Double, credit: Int = 16) -> Fleet.Member {
        var member = Fleet.Member(pace: pace)
        member.latency = 0.010
        member.bytesPerSecond = 125_000_000
        member.credit = credit
        return member
    }

    /// Views of SDXL and of the default model, which take from 5 ms to 5 s.
    @Test(arguments: [0.005, 0.012, 0.05, 0.5, 5])
    func nobodyWaitsForAViewOverALongLink(pace: Double) {
        var fleet = Fleet((0..<4).map { _ in far(pace: pace) }, bytes: 65_536)
        // Speeds and round trips are not known yet.
        _ = fleet.run(40)
        let result = fleet.run(400)
        #expect(result.accepted == 400)
        #expect(result.waited < 0.01 * result.busy, "\(result)")
    }

    /// With one unit at a time, the same workers wait, so the test above can fail.
    @Test func withoutPrefetchWorkersWait() {
        var policy = DispatcherState.Policy()
        policy.depths = 1...1
        let members = (0..<4).map { _ in far(pace: 0.012) }
        var fleet = Fleet(members, bytes: 65_536, policy: policy)
        _ = fleet.run(40)
        let result = fleet.run(400)
        #expect(result.waited > result.busy, "\(result)")
    }

    /// One worker that is up to two hundred times slower than the others costs a step at most one view.
    @Test(arguments: [3.0, 10, 200])
    func aSlowWorkerHoldsUpNoStep(factor: Double) {
        let members =
            (0..<7).map { _ in Fleet.Member(pace: 0.1) } + [
                Fleet.Member(pace: 0.1 * factor)
            ]
        var fleet = Fleet(members)
        for _ in 0..<4 { _ = fleet.run(16) }
        for count in [1, 7, 8, 15, 60, 200] {
            let result = fleet.run(count)
            let ideal = idealTime(count, paces: members.map(\.pace))
            // Plus one tick, at which a late worker is noticed.
            #expect(result.time <= ideal + 0.15, "\(count) units: \(result), \(ideal)")
        }
    }

    /// A worker that sends heartbeats but never answers costs the first step a view or two, and then nothing.
    @Test func aStuckWorkerHoldsUpOneStepAtMost() {
        var members = (0..<4).map { _ in Fleet.Member(pace: 0.1) }
        members[1].isStuck = true
        var fleet = Fleet(members)
        let first = fleet.run(30)
        #expect(first.time < 1.0 + 0.25 + 0.3, "\(first)")
        for _ in 0..<5 {
            let result = fleet.run(30)
            #expect(result.time < 1.0 + 1e-6, "\(result)")
        }
    }

    /// A thousand workers whose speeds differ sixfold on a picture of 16,384 pixels.
    @Test func aThousandWorkersComeNearTheIdeal() {
        var random = SplitMix(11)
        let members = (0..<1000).map { _ in
            Fleet.Member(pace: Double.random(in: 0.5...3, using: &random))
        }
        var fleet = Fleet(members)
        _ = fleet.run(3000)
        let result = fleet.run(4225 + 4096)
        let ideal = idealTime(4225 + 4096, paces: members.map(\.pace))
        #expect(result.accepted == 8321)
        #expect(result.time <= ideal / 0.95, "\(result.time) against \(ideal)")
        print(
            "1,000 workers: \(ideal / result.time) of the ideal; dispatcher \(result.dispatching / 8321) per view"
        )
    }
}
