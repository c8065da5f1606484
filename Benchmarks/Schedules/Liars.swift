import Coordinator
import Engine
import FleetSimulation
import Foundation
import Sampling

/// Whole refinements to 32,768 pixels on the workers of `measureInternet`, of which one in a hundred adds 0.01 to answers and
/// none is refused: how many liars the default checks find, and what that costs. Prints a table, then one JSON object.
///
/// - Parameter config: of the scheduler
/// - Throws: what planning throws
func measureLiars(config: String) throws {
    var settings = RenderSettings(
        size: Extent(height: 32_768, width: 32_768),
        steps: 50,
        scheduler: .ddim
    )
    settings.method = .refine
    let scheduler = try Scheduler(.ddim, config: SchedulerConfig(file: config), steps: 50)
    let plan = try RenderPlan(settings, model: geometry, scheduler: scheduler)
    // The first phase is the coordinator's own.
    let steps = plan.phases.dropFirst().flatMap { phase in
        phase.steps.map { phase.views(at: $0) }
    }
    print("A whole refinement, \(steps.reduce(0, +)) views, 1 % liars, default checks:")
    print("  workers  wrong answers  hosts  liars found  checks  thrown away  of ideal")
    var figures: [String] = []
    for (workers, renders) in [(1000, 1), (200, 5)] {
        for (interval, name) in [(1, "always"), (10, "every_tenth")] {
            for isKnown in [true, false] {
                let row = LiarsRow(steps, workers, renders, interval, isKnown)
                let words =
                    "  \(interval == 1 ? "all          " : "every tenth  ")  \(isKnown ? "known" : "new  ")"
                print(String(format: "  %7d", workers) + words + row.text)
                let suffix = isKnown ? "" : "_new_hosts"
                figures.append(
                    "\"sim_liar_detected_share_\(workers)_\(name)\(suffix)\": \(row.share)"
                )
            }
        }
    }
    print("{\(figures.joined(separator: ", "))}")
}

/// Some renders with the same workers and other seeds.
private struct LiarsRow {
    private var (found, liars, checks, thrownAway, views) = (0, 0, 0, 0, 0)
    private var (ideal, time) = (0.0, 0.0)

    /// With half-precision latents (`--wire f16`) of SDXL's size.
    private static let bytes = 128 * 128 * 4 * 2
    /// Mean seconds a view.
    private static let pace = 20.0

    init(_ steps: [Int], _ workers: Int, _ renders: Int, _ interval: Int, _ isKnown: Bool) {
        var random = SimulationRandom(state: 32)
        let members = (0..<workers).map { index in
            var member = InternetRun.member(index, &random)
            (member.lieInterval, member.isLiar) = (member.isLiar ? interval : nil, false)
            return member
        }
        for seed in 1...renders {
            let fleet = Fleet(
                members,
                bytes: Self.bytes,
                linkBytesPerSecond: 10e9 / 8,
                churn: Churn(meanStay: 1800, absence: 60, seed: UInt64(seed))
            )
            var checked = CheckedFleet(
                fleet,
                seed: UInt64(seed),
                known: isKnown ? members.compactMap { $0.host.map { HostID($0) } } : [],
                ownPace: Self.pace
            )
            let outcome = checked.run(steps, isLast: true)
            found += checked.found.count
            liars += checked.liars.count
            checks += outcome.checks
            thrownAway += outcome.thrownAway
            views += outcome.views
            ideal += outcome.ideal
            time += outcome.time
        }
    }

    var share: String { String(format: "%.2f", Double(found) / Double(max(1, liars))) }

    var text: String {
        String(
            format: "  %5d of %2d  %5.1f %%  %8.1f %%  %8.2f",
            found,
            liars,
            100 * Double(checks) / Double(views),
            100 * Double(thrownAway) / Double(views),
            ideal / time
        )
    }
}
