import Coordinator
import Engine
import FleetSimulation
import Foundation
import Sampling

/// Thousands of workers on the internet, for a picture of 32,768 pixels: links of 1 to 100 Mbit/s and 5 to 300 ms, workers
/// that come and go, and one in a hundred whose answers are refused. Prints a table, then one JSON object.
///
/// - Parameter config: of the scheduler
/// - Throws: what planning throws
func measureInternet(config: String) throws {
    print("32,768 pixels, 20 s a view in the mean, half an hour's mean stay, 1 % refused:")
    print("  method      workers  coordinator   of ideal  ms a view  KB a view  memory MB")
    var efficiency = 0.0
    for method in Method.allCases {
        let steps = try InternetPlan.steps(method, config: config)
        for (workers, link) in [
            (200, 0.1e9), (200, 1e9), (2000, 0.1e9), (2000, 1e9), (10_000, 1e9), (10_000, 10e9),
        ] {
            let run = InternetRun(
                steps,
                of: method,
                workers: workers,
                linkBitsPerSecond: link
            )
            print(run.row(method.rawValue))
            if method == .demofusion, workers == 10_000, link == 10e9 { efficiency = run.share }
        }
    }
    print(String(format: "{\"sim_10000_workers_efficiency\": %.4f}", efficiency))
}

/// Views of steps of a picture of 32,768 pixels.
enum InternetPlan {
    /// - Returns: views of two steps of each of the last three phases
    static func steps(_ method: Method, config: String) throws -> [Int] {
        var settings = RenderSettings(
            size: Extent(height: 32_768, width: 32_768),
            steps: 50,
            scheduler: .ddim
        )
        settings.method = method
        let scheduler = try Scheduler(.ddim, config: SchedulerConfig(file: config), steps: 50)
        let plan = try RenderPlan(settings, model: geometry, scheduler: scheduler)
        return plan.phases.suffix(3).flatMap { phase in
            Array(repeating: phase.views(at: phase.steps.count / 2), count: 2)
        }
    }
}

/// Steps on a fleet whose speeds are known: the first step warms up.
struct InternetRun {
    let workers: Int
    let link: Double
    /// Of the ideal schedule of the workers that were there when a step began.
    private(set) var share = 0.0
    /// Of the dispatcher.
    private(set) var secondsPerView = 0.0
    private(set) var bytesPerView = 0.0
    private(set) var megabytes = 0.0

    /// Half-precision latents (`--wire f16`) of SDXL's size, packed: shares measured on latents and predictions of the default
    /// model, those of answers of bfloat16 workers under guidance and without.
    private static let latent = 128 * 128 * 4 * 2
    private static let packedTask = 0.845
    private static func packedAnswer(_ method: Method) -> Double {
        method == .refine ? 0.66 : 0.78
    }

    init(_ steps: [Int], of method: Method, workers: Int, linkBitsPerSecond link: Double) {
        (self.workers, self.link) = (workers, link)
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
        for count in steps {
            ideal += idealTime(count, paces: fleet.paces)
            let result = fleet.run(count)
            time += result.time
            secondsPerView += result.dispatching
            bytesPerView += result.bytes
            views += count
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

    func row(_ method: String) -> String {
        let name = method.padding(toLength: 10, withPad: " ", startingAt: 0)
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
