import Coordinator
import Engine
import FleetSimulation
import Foundation
import Sampling

/// What 2,000 workers on the internet would gain if a view of a step could begin as soon as what it needs of the step before is
/// there. Prints a table.
///
/// - Parameter config: of the scheduler
/// - Throws: what planning throws
func measureOverlap(config: String) throws {
    print("32,768 pixels, 2,000 workers, their liars found already; of the ideal schedule:")
    print("  method      coordinator   one by one  overlapping")
    for method in Method.allCases {
        for link in [0.1e9, 1e9] {
            let shares = try [false, true].map { overlaps in
                share(
                    of: try InternetPlan.phases(method, config: config, overlaps: overlaps),
                    method,
                    linkBitsPerSecond: link
                )
            }
            print(
                "  \(method.rawValue.padding(toLength: 10, withPad: " ", startingAt: 0))"
                    + String(
                        format: "  %4.1f Gbit/s        %.3f        %.3f",
                        link / 1e9,
                        shares[0],
                        shares[1]
                    )
            )
        }
    }
}

private func share(
    of phases: [StepFlow],
    _ method: Method,
    linkBitsPerSecond link: Double
) -> Double {
    let members = InternetRun.members(2000)
    var fleet = Fleet(
        members,
        bytes: InternetRun.taskBytes,
        answerBytes: InternetRun.answerBytes(method),
        linkBytesPerSecond: link / 8,
        churn: Churn(meanStay: 1800, absence: 60)
    )
    let liars = Set(
        members.filter { $0.lieInterval != nil }.compactMap { $0.host.map { HostID($0) } }
    )
    for liar in liars.sorted(by: { $0.text < $1.text }) { fleet.distrust(liar) }
    _ = fleet.run(2 * members.count)
    var (ideal, time) = (0.0, 0.0)
    for phase in phases {
        let paces = fleet.paces(without: liars)
        ideal += phase.steps.reduce(0) { $0 + idealTime($1.count, paces: paces) }
        time += fleet.run(phase).time
    }
    return ideal / time
}

extension InternetPlan {
    /// - Returns: eight steps of DemoFusion's last phase, or all steps of the last three stages of refinement
    fileprivate static func phases(
        _ method: Method,
        config: String,
        overlaps: Bool
    ) throws -> [StepFlow] {
        let noise = SeededNoise(seed: 1, kind: .philox)
        let phases = try plan(method, config: config).phases.suffix(method == .refine ? 3 : 1)
        return try phases.map { phase in
            let middle = phase.steps.count / 2
            let steps = method == .refine ? Array(phase.steps) : Array(middle..<middle + 8)
            return StepFlow(
                try steps.map { step in
                    guard let grid = phase.windows(at: step) else {
                        preconditionFailure("a phase without windows")
                    }
                    return StepFlow.Step(
                        windows: try noise.windows(of: grid, phase: phase.phase, step: step),
                        lattices: phase.usesLattices(at: step) ? phase.lattices?.count ?? 0 : 0,
                        // The inversion mixes its noise on the sphere: one angle for the whole latent.
                        isBarrier: method == .refine && step == 0
                    )
                },
                overlaps: overlaps
            )
        }
    }
}
