import Coordinator
import FleetSimulation
import Foundation

/// What 2,000 workers on the internet would gain if a view of a step could begin as soon as what it needs is there. Prints a
/// table.
///
/// - Parameter config: of the scheduler
/// - Throws: what planning throws
func measureOverlap(config: String) throws {
    print("2,000 of these workers, if a view could begin as soon as what it needs is there:")
    print("  method      coordinator   steps         of ideal")
    for method in Method.allCases {
        for overlaps in [false, true] {
            let phases = try InternetPlan.phases(method, config: config, overlaps: overlaps)
            for link in [0.1e9, 1e9] {
                var fleet = Fleet(
                    InternetRun.members(2000),
                    bytes: InternetRun.taskBytes,
                    answerBytes: InternetRun.answerBytes(method),
                    linkBytesPerSecond: link / 8,
                    churn: Churn(meanStay: 1800, absence: 60)
                )
                _ = fleet.run(4000)
                var (ideal, time) = (0.0, 0.0)
                for phase in phases {
                    ideal += phase.steps.reduce(0) {
                        $0 + idealTime($1.count, paces: fleet.paces)
                    }
                    time += fleet.run(phase).time
                }
                let name = method.rawValue.padding(toLength: 10, withPad: " ", startingAt: 0)
                let steps = overlaps ? "overlapping" : "one by one "
                print(
                    "  \(name)"
                        + String(format: "  %6.1f Gbit/s  \(steps)  %.3f", link / 1e9, ideal / time)
                )
            }
        }
    }
}
