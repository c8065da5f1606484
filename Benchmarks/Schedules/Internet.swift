import Coordinator
import Engine
import FleetSimulation
import Foundation
import Sampling

/// Thousands of workers on the internet, for a picture of 32,768 pixels: links of 1 to 100 Mbit/s and 5 to 300 ms, workers
/// that come and go, and one in a hundred whose answers are refused. Prints tables, then one JSON object.
///
/// - Parameter config: of the scheduler
/// - Throws: what planning throws
func measureInternet(config: String) throws {
    print("32,768 pixels, 20 s a view in the mean, half an hour's mean stay, 1 % refused:")
    print(InternetRun.head)
    var efficiency = 0.0
    for method in Method.allCases {
        let steps = try InternetPlan.steps(method, config: config)
        for (workers, link) in [
            (200, 0.1e9), (200, 1e9), (2000, 0.1e9), (2000, 1e9), (10_000, 1e9), (10_000, 10e9),
        ] {
            let run = InternetRun(method, workers: workers, linkBitsPerSecond: link) { fleet in
                steps.map { count in
                    let ideal = idealTime(count, paces: fleet.paces)
                    return (ideal, count, fleet.run(count))
                }
            }
            print(run.row)
            if method == .demofusion, workers == 10_000, link == 10e9 { efficiency = run.share }
        }
    }
    print("the same, if a view of a step could begin as soon as what it needs is there:")
    print(InternetRun.head)
    for method in Method.allCases {
        for overlaps in [false, true] {
            let phases = try InternetPlan.phases(method, config: config, overlaps: overlaps)
            for link in [0.1e9, 1e9] {
                let run = InternetRun(method, workers: 2000, linkBitsPerSecond: link) { fleet in
                    phases.map { phase in
                        let ideal = phase.steps.reduce(0) {
                            $0 + idealTime($1.count, paces: fleet.paces)
                        }
                        let count = phase.steps.reduce(0) { $0 + $1.count }
                        return (ideal, count, fleet.run(phase))
                    }
                }
                print(run.row + (overlaps ? "  overlapping" : "  one by one"))
            }
        }
    }
    print(String(format: "{\"sim_10000_workers_efficiency\": %.4f}", efficiency))
}

/// Views of steps of a picture of 32,768 pixels.
enum InternetPlan {
    private static func plan(_ method: Method, config: String) throws -> RenderPlan {
        var settings = RenderSettings(
            size: Extent(height: 32_768, width: 32_768),
            steps: 50,
            scheduler: .ddim
        )
        settings.method = method
        let scheduler = try Scheduler(.ddim, config: SchedulerConfig(file: config), steps: 50)
        return try RenderPlan(settings, model: geometry, scheduler: scheduler)
    }

    /// - Returns: views of two steps of each of the last three phases
    static func steps(_ method: Method, config: String) throws -> [Int] {
        try plan(method, config: config).phases.suffix(3).flatMap { phase in
            Array(repeating: phase.views(at: phase.steps.count / 2), count: 2)
        }
    }

    /// - Returns: eight steps of DemoFusion's last phase, or all steps of the last three stages of refinement
    static func phases(
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

/// Steps on a fleet whose speeds are known: the first step warms up.
struct InternetRun {
    let method: Method
    let workers: Int
    let link: Double
    /// Of the ideal schedule of the workers that were there when a step began.
    private(set) var share = 0.0
    /// Of the dispatcher.
    private(set) var secondsPerView = 0.0
    private(set) var bytesPerView = 0.0
    private(set) var megabytes = 0.0

    static let head =
        "  method      workers  coordinator   of ideal  ms a view  KB a view  memory MB"

    /// Half-precision latents (`--wire f16`) of SDXL's size, packed: shares measured on latents and predictions of the default
    /// model, those of answers of bfloat16 workers under guidance and without.
    private static let latent = 128 * 128 * 4 * 2
    private static let packedTask = 0.845
    private static func packedAnswer(_ method: Method) -> Double {
        method == .refine ? 0.66 : 0.78
    }

    /// - Parameters:
    ///   - method: of the picture
    ///   - workers: how many
    ///   - link: the coordinator's
    ///   - play: runs steps; gives the ideal time, the number of views and the result of each
    init(
        _ method: Method,
        workers: Int,
        linkBitsPerSecond link: Double,
        _ play: (inout Fleet) -> [(ideal: Double, views: Int, result: Fleet.Result)]
    ) {
        (self.method, self.workers, self.link) = (method, workers, link)
        var random = SimulationRandom(state: 32)
        let members = (0..<workers).map { Self.member($0, &random) }
        var fleet = Fleet(
            members,
            bytes: Int(Self.packedTask * Double(Self.latent)),
            answerBytes: Int(Self.packedAnswer(method) * Double(Self.latent)),
            linkBytesPerSecond: link / 8,
            churn: Churn(meanStay: 1800, absence: 60)
        )
        _ = fleet.run(2 * workers)
        var (ideal, time, views) = (0.0, 0.0, 0)
        for part in play(&fleet) {
            ideal += part.ideal
            time += part.result.time
            secondsPerView += part.result.dispatching
            bytesPerView += part.result.bytes
            views += part.views
        }
        share = ideal / time
        secondsPerView /= Double(views)
        bytesPerView /= Double(views)
        megabytes = Self.residentMegabytes
    }

    private static func member(_ index: Int, _ random: inout SimulationRandom) -> Fleet.Member {
        var member = Fleet.Member(pace: Double.random(in: 10...30, using: &random))
        member.latency = Double.random(in: 0.0025...0.150, using: &random)
        // Evenly distributed orders of magnitude.
        member.bytesPerSecond = pow(10, Double.random(in: 0...2, using: &random)) * 1e6 / 8
        member.host = "host \(index)"
        member.isLiar = index % 100 == 99
        return member
    }

    private static var residentMegabytes: Double {
        let fields = (try? String(contentsOfFile: "/proc/self/statm", encoding: .utf8)) ?? ""
        let pages = fields.split(separator: " ").dropFirst().first.flatMap { Double($0) } ?? 0
        return pages * Double(sysconf(Int32(_SC_PAGESIZE))) / 1e6
    }

    var row: String {
        let name = method.rawValue.padding(toLength: 10, withPad: " ", startingAt: 0)
        return "  \(name)"
            + String(
                format: "  %7d  %6.1f Gbit/s     %.3f  %9.3f  %9.0f  %9.0f",
                workers,
                link / 1e9,
                share,
                secondsPerView * 1000,
                bytesPerView / 1000,
                megabytes
            )
    }
}
