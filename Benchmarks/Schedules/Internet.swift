import Coordinator
import Engine
import FleetSimulation
import Foundation
import Sampling

/// Thousands of workers on the internet, for a picture of 32,768 pixels: links of 1 to 100 Mbit/s and 5 to 300 ms, workers
/// that come and go, and one in a hundred that adds 0.01 to all of its answers, until the default checks find it. Steps one
/// by one, and overlapping as in a render. Prints a table, then one JSON object.
///
/// - Parameter config: the scheduler's configuration file
/// - Throws: what planning throws
func measureInternet(config: String) throws {
    print("32,768 pixels, 20 s a view in the mean, half an hour's mean stay, 1 % liars:")
    print(
        "  method      workers  coordinator   one by one  overlapping  ms a view  KB a view  memory MB  checks  thrown away  liars found"
    )
    var efficiency = 0.0
    for method in Method.allCases {
        let phases = try StepPlan.measured(method, side: 32_768, config: config)
        for (workers, link) in [
            (200, 0.1e9), (200, 1e9), (2000, 0.1e9), (2000, 1e9), (10_000, 1e9), (10_000, 10e9),
        ] {
            let (apart, run) = (
                InternetRun(phases, of: method, workers, linkBitsPerSecond: link, overlaps: false),
                InternetRun(phases, of: method, workers, linkBitsPerSecond: link, overlaps: true)
            )
            print(run.row(method.rawValue, oneByOne: apart.share))
            if method == .demofusion, workers == 10_000, link == 10e9 { efficiency = run.share }
        }
    }
    print(String(format: "{\"sim_10000_workers_efficiency\": %.4f}", efficiency))
}

/// What relays save of the bytes to workers, and the effect of that. Nobody lies, because all workers of a liar's relay
/// would be set aside. Three sites of four machines for a picture of 16,384 pixels, with the coordinator at 0.4 Mbit/s
/// (20 s a view; or 20 Mbit/s and 0.4 s); and 2,000 workers for a picture of 32,768 pixels, with the coordinator at 100
/// Mbit/s and relays of several sizes. For comparison, one relay for all workers that is sent every pixel of a latent
/// once, and no bytes at all. Prints tables.
///
/// - Parameter config: the scheduler's configuration file
/// - Throws: what planning throws
func measureRegions(config: String) throws {
    try measureRelays(of: [4], workers: 12, side: 16_384, linkBitsPerSecond: 0.4e6, config: config)
    try measureRelays(
        of: [4, 10, 40, 200],
        workers: 2000,
        side: 32_768,
        linkBitsPerSecond: 0.1e9,
        config: config
    )
}

private func measureRelays(
    of sizes: [Int],
    workers: Int,
    side: Int,
    linkBitsPerSecond link: Double,
    config: String
) throws {
    print("\(side) pixels, \(workers) workers, coordinator at \(link / 1e6) Mbit/s, steps overlap:")
    print("  method      workers of a relay      KB a view  of the ideal schedule")
    for method in Method.allCases {
        let phases = try StepPlan.measured(method, side: side, config: config)
        let areas = phases.joined().map { step in
            let window = step.windows[0].height * step.windows[0].width
            let rows = step.windows.map { $0.top + $0.height }.max() ?? 0
            let columns = step.windows.map { $0.left + $0.width }.max() ?? 0
            return (once: rows * columns + step.lattices * window, sent: step.count * window)
        }
        let once =
            Double(areas.reduce(0) { $0 + $1.once }) / Double(areas.reduce(0) { $0 + $1.sent })
        func row(_ name: String, share: Double = 1, workersOfRelay: Int? = nil) {
            let run = InternetRun(
                phases,
                of: method,
                workers,
                linkBitsPerSecond: link,
                overlaps: true,
                taskShare: share,
                workersOfRelay: workersOfRelay,
                hasLiars: false
            )
            let method = method.rawValue.padding(toLength: 10, withPad: " ", startingAt: 0)
            print(
                "  \(method)  \(name.padding(toLength: 22, withPad: " ", startingAt: 0))  "
                    + String(format: "%9.0f  %21.3f", run.bytesPerView / 1000, run.share)
            )
        }
        row("no relay")
        for size in sizes { row("\(size)", workersOfRelay: size) }
        row("all: each pixel once", share: once)
        row("no bytes to workers", share: 0)
    }
}

/// Whole renders with 1,000 workers, ten of which lie: how many are found, and what that costs. Prints a table, then
/// one JSON object.
///
/// - Parameter config: the scheduler's configuration file
/// - Throws: what planning throws
func measureLiars(config: String) throws {
    let phases = try StepPlan.whole(.refine, side: 32_768, config: config)
    let views = phases.joined().reduce(0) { $0 + $1.count }
    print(
        "A whole refine of 32,768 pixels (\(views) views), 1,000 workers, 10 liars, default checks:"
    )
    print("  wrong answers  hosts  liars found  checks  thrown away")
    var figures: [String] = []
    for (interval, name) in [(1, "always"), (10, "every_tenth")] {
        for isKnown in [true, false] {
            let members = InternetRun.members(1000, lieInterval: interval)
            let fleet = Fleet(
                members,
                bytes: InternetRun.taskBytes,
                answerBytes: InternetRun.answerBytes(.refine),
                linkBytesPerSecond: 10e9 / 8,
                churn: Churn(meanStay: 1800, absence: 60)
            )
            var checked = CheckedFleet(
                fleet,
                known: isKnown ? members.compactMap { $0.host.map { HostID($0) } } : [],
                ownPace: InternetRun.meanPace
            )
            let outcome = checked.run(phases, isLast: true)
            let share = Double(checked.found.count) / Double(checked.liars.count)
            print(
                "  \(interval == 1 ? "all          " : "every tenth  ")  \(isKnown ? "known" : "new  ")"
                    + String(
                        format: "  %5d of %2d  %5.1f %%  %8.1f %%",
                        checked.found.count,
                        checked.liars.count,
                        100 * Double(outcome.checks) / Double(outcome.views),
                        100 * Double(outcome.thrownAway) / Double(outcome.views)
                    )
            )
            let suffix = isKnown ? "" : "_new_hosts"
            figures.append(
                String(format: "\"sim_liar_detected_share_\(name)\(suffix)\": %.2f", share)
            )
        }
    }
    print("{\(figures.joined(separator: ", "))}")
}

/// Steps on a fleet whose speeds are known and whose hosts have had their first checks: two steps warm up.
struct InternetRun {
    let workers: Int
    let link: Double
    /// Ideal time divided by actual time, for the workers that are there when a step begins and all steps computed.
    private(set) var share = 0.0
    /// The dispatcher's own time.
    private(set) var secondsPerView = 0.0
    private(set) var bytesPerView = 0.0
    private(set) var megabytes = 0.0
    /// Checks per view of the measured steps.
    private(set) var checks = 0.0
    /// Share of all views, including those of the warm-up.
    private(set) var thrownAway = 0.0
    private(set) var found = (0, of: 0)

    /// Seconds per view.
    static let meanPace = 20.0
    /// Half-precision latents (`--wire f16`) of SDXL's size, packed. The shares were measured on latents and
    /// predictions of the default model; those for answers are of bfloat16 workers with and without guidance.
    private static let latent = 128 * 128 * 4 * 2
    static let taskBytes = Int(0.845 * Double(latent))
    static func answerBytes(_ method: Method) -> Int {
        Int((method == .refine ? 0.66 : 0.78) * Double(latent))
    }

    init(
        _ phases: [[StepFlow.Step]],
        of method: Method,
        _ workers: Int,
        linkBitsPerSecond link: Double,
        overlaps: Bool,
        taskShare: Double = 1,
        workersOfRelay: Int? = nil,
        hasLiars: Bool = true
    ) {
        (self.workers, self.link) = (workers, link)
        var members = Self.members(workers)
        if let workersOfRelay {
            for index in members.indices { members[index].relay = index / workersOfRelay }
        }
        if !hasLiars {
            for index in members.indices { members[index].lieInterval = nil }
        }
        let fleet = Fleet(
            members,
            bytes: Int(taskShare * Double(Self.taskBytes)),
            answerBytes: Self.answerBytes(method),
            linkBytesPerSecond: link / 8,
            churn: Churn(meanStay: 1800, absence: 60)
        )
        var checked = CheckedFleet(fleet, ownPace: Self.meanPace, overlaps: overlaps)
        let first = checked.run([2 * workers, 2 * workers])
        let outcome = checked.run(phases)
        share = outcome.ideal / outcome.time
        secondsPerView = outcome.dispatching / Double(outcome.views)
        bytesPerView = outcome.bytes / Double(outcome.views)
        checks = Double(outcome.checks) / Double(outcome.views)
        thrownAway =
            Double(first.thrownAway + outcome.thrownAway) / Double(first.views + outcome.views)
        found = (checked.found.count, of: checked.liars.count)
        megabytes = Self.residentMegabytes
    }

    /// One in a hundred lies, in one of every `lieInterval` answers.
    static func members(_ count: Int, lieInterval: Int = 1) -> [Fleet.Member] {
        var random = SimulationRandom(state: 32)
        return (0..<count).map { index in
            var member = Fleet.Member(pace: Double.random(in: 10...30, using: &random))
            member.latency = Double.random(in: 0.0025...0.150, using: &random)
            // Log-uniformly distributed.
            member.bytesPerSecond = pow(10, Double.random(in: 0...2, using: &random)) * 1e6 / 8
            member.host = "host \(index)"
            member.lieInterval = index % 100 == 99 ? lieInterval : nil
            return member
        }
    }

    private static var residentMegabytes: Double {
        let fields = (try? String(contentsOfFile: "/proc/self/statm", encoding: .utf8)) ?? ""
        let pages = fields.split(separator: " ").dropFirst().first.flatMap { Double($0) } ?? 0
        return pages * Double(sysconf(Int32(_SC_PAGESIZE))) / 1e6
    }

    func row(_ method: String, oneByOne: Double) -> String {
        let name = method.padding(toLength: 10, withPad: " ", startingAt: 0)
        return "  \(name)"
            + String(
                format:
                    "  %7d  %6.1f Gbit/s       %.3f        %.3f  %9.3f  %9.0f  %9.0f  %5.1f %%  %9.1f %%  %4d of %d",
                workers,
                link / 1e9,
                oneByOne,
                share,
                secondsPerView * 1000,
                bytesPerView / 1000,
                megabytes,
                100 * checks,
                100 * thrownAway,
                found.0,
                found.of
            )
    }
}
