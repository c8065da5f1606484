import Coordinator
import Protocol
import TestSupport
import Testing

@Suite struct DispatcherSimulationTests {
    /// 2,000 clusters, three batches each: every unit is accepted exactly once, from a worker that was given it
    /// (`perform` checks this), and batches end, whoever takes part.
    @Test func everyUnitIsAcceptedExactlyOnce() throws {
        var (completed, expelled) = (0, 0)
        var joined: [DispatcherSimulation.Manner: Int] = [:]
        for seed in 0..<UInt64(2000) {
            var simulation = DispatcherSimulation(seed: seed)
            for _ in 0..<Int.random(in: 0...6, using: &simulation.random) {
                try simulation.join()
            }
            for _ in 0..<3 {
                let count = Int.random(in: 1...30, using: &simulation.random)
                let units = try simulation.run(
                    count,
                    stormFor: Int.random(in: 0...200, using: &simulation.random)
                )
                switch simulation.outcome {
                case .complete:
                    completed += 1
                    #expect(
                        units.allSatisfy { simulation.accepted[$0] == 1 },
                        "seed \(seed)\n\(simulation.state.trace)"
                    )
                case .noWorkersLeft, .failed:
                    #expect(
                        units.allSatisfy { simulation.accepted[$0, default: 0] <= 1 },
                        "seed \(seed)\n\(simulation.state.trace)"
                    )
                default:
                    Issue.record(
                        "seed \(seed): \(String(describing: simulation.outcome))"
                    )
                }
            }
            joined.merge(simulation.joined) { $0 + $1 }
            expelled += simulation.expelled
        }
        #expect(completed > 5500, "only \(completed) of 6,000 batches were completed")
        // Workers of every kind took part.
        #expect(
            DispatcherSimulation.Manner.allCases.allSatisfy { joined[$0, default: 0] > 500 },
            "\(joined)"
        )
        #expect(expelled > 1000)
    }

    @Test func aUnitThatAlwaysFailsEndsItsBatch() throws {
        for seed in 0..<UInt64(200) {
            var simulation = DispatcherSimulation(seed: seed)
            for _ in 0..<6 { try simulation.join(reliable: true) }
            let units = try simulation.run(20, stormFor: 0, cursed: true)
            guard case .failed(let unit, _) = simulation.outcome else {
                // If every worker is set aside because of it, no worker is left, which ends the batch, too.
                #expect(simulation.outcome == .noWorkersLeft)
                continue
            }
            #expect(unit == units[10])
        }
    }

    @Test func theSameEventsGiveTheSameActions() throws {
        func trace(_ seed: UInt64) throws -> String {
            var simulation = DispatcherSimulation(seed: seed)
            for _ in 0..<5 { try simulation.join() }
            _ = try simulation.run(30, stormFor: 100)
            return simulation.state.trace
        }
        for seed in 0..<UInt64(20) { #expect(try trace(seed) == trace(seed)) }
    }

    /// A thousand workers whose speeds differ sixfold, and four batches of 3,000 units each.
    @Test func aThousandWorkersAreDispatchedInLittleTime() throws {
        var random = SplitMix(7)
        var state = DispatcherState()
        // Ordered by time, and ties by worker.
        var speeds: [Double] = []
        for id in 0..<1000 {
            speeds.append(Double.random(in: 1...6, using: &random))
            _ = state.handle(.joined(WorkerID(id)), at: .zero)
            _ = state.handle(.asked(WorkerID(id), 2), at: .zero)
        }
        var now = 0.0
        var accepted = 0
        let clock = ContinuousClock()
        let time = clock.measure {
            for batch in 0..<4 {
                var calendar: [(at: Double, worker: Int)] = []
                func perform(_ actions: [DispatcherState.Action]) {
                    for action in actions {
                        switch action {
                        case .assign(_, let id, _) where state.held(by: id).count == 1:
                            calendar.append((now + speeds[id.rawValue], id.rawValue))
                        case .accept: accepted += 1
                        default: break
                        }
                    }
                }
                let units = (0..<3000).map { UnitID(UInt64(batch * 3000 + $0)) }
                for action in state.handle(.submitted(units), at: .seconds(now)) {
                    guard case .assign(_, let id, _) = action else { continue }
                    if calendar.contains(where: { $0.worker == id.rawValue }) { continue }
                    calendar.append((now + speeds[id.rawValue], id.rawValue))
                }
                while state.isBusy, let next = calendar.min(by: { $0 < $1 }) {
                    calendar.removeAll { $0.worker == next.worker }
                    now = next.at
                    let id = WorkerID(next.worker)
                    guard let unit = state.held(by: id).first else { continue }
                    perform(state.handle(.answered(unit, by: id), at: .seconds(now)))
                    if !state.held(by: id).isEmpty {
                        calendar.append((now + speeds[next.worker], next.worker))
                    }
                    perform(state.handle(.asked(id, 1), at: .seconds(now)))
                }
            }
        }
        #expect(accepted == 12_000)
        print("a view among 1,000 workers: \(time / 12_000), with the simulation's own time")
        #expect(time / 12_000 < .milliseconds(2))
    }
}
