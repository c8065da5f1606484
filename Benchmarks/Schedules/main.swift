// Benchmarks of scheduling, without networks: simulated fleets under the real dispatcher, and the coordinator's
// own time per view. Prints a table, then one JSON object.
//     Schedules TEST_WORKER SCHEDULER_CONFIG
//     Schedules internet|regions|liars SCHEDULER_CONFIG

import Coordinator
import Engine
import Fleet
import FleetSimulation
import Foundation
import Glibc
import Logging
import Protocol
import Sampling

/// SDXL's shape.
let geometry = ModelGeometry(
    nativeLatentSide: 128,
    vaeFactor: 8,
    latentChannels: 4,
    usesTimeIDs: true
)

/// Numbers of views in the middle step of every phase but the first, each for several steps.
func steps(side: Int, config: String) throws -> [Int] {
    let settings = RenderSettings(
        size: Extent(height: side, width: side),
        steps: 50,
        scheduler: .ddim
    )
    let scheduler = try Scheduler(.ddim, config: SchedulerConfig(file: config), steps: 50)
    let plan = try RenderPlan(settings, model: geometry, scheduler: scheduler)
    return plan.phases.dropFirst().flatMap { Array(repeating: $0.views(at: 25), count: 5) }
}

/// One worker at 1 Gbit/s and a round trip of 20 ms, with 256 KB views.
func member(pace: Double) -> Fleet.Member {
    var member = Fleet.Member(pace: pace)
    member.latency = 0.010
    member.bytesPerSecond = 125_000_000
    return member
}

/// How close a fleet comes to its ideal schedule.
///
/// - Parameters:
///   - members: the workers
///   - steps: number of units in each step
///   - warmUp: number of units in a first step, after which all speeds are known
/// - Returns: ideal time divided by actual time, and the dispatcher's seconds per unit
func efficiency(
    _ members: [Fleet.Member],
    _ steps: [Int],
    warmUp: Int = 0
) -> (share: Double, seconds: Double) {
    var fleet = Fleet(members, bytes: 262_144)
    if warmUp > 0 { _ = fleet.run(warmUp) }
    var (ideal, time, dispatching, views) = (0.0, 0.0, 0.0, 0)
    for count in steps {
        let result = fleet.run(count)
        ideal += idealTime(count, paces: members.map(\.pace))
        time += result.time
        dispatching += result.dispatching
        views += count
    }
    return (ideal / time, dispatching / Double(views))
}

/// The same for whole phases, whose steps overlap or not; may exceed 1 where they do.
func share(of phases: [[StepFlow.Step]], _ members: [Fleet.Member], overlaps: Bool) -> Double {
    var fleet = Fleet(members, bytes: 262_144)
    _ = fleet.run(4 * members.count)
    var (ideal, time) = (0.0, 0.0)
    for phase in phases {
        ideal += phase.reduce(0) { $0 + idealTime($1.count, paces: members.map(\.pace)) }
        time += fleet.run(StepFlow(phase, overlaps: overlaps)).time
    }
    return ideal / time
}

/// Processor time of this process.
func processorSeconds() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
}

/// The coordinator's time per view of SDXL's size, with a worker process that only sums numbers.
func millisecondsPerView(worker: String) throws -> Double {
    let quiet = Logger(label: "bench") { _ in SwiftLogNoOpLogHandler() }
    let cluster = try LocalCluster(
        workers: 1,
        threads: 1,
        model: ModelIdentity(digest: String(repeating: "ab", count: 32), path: "/models/fake"),
        program: worker,
        logger: quiet
    ) { endpoint, name, _ in ["--connect", endpoint.address, "--name", name, "--local-child"] }
    defer { cluster.stop() }
    let prompt = Embedding(context: Tensor([1, 2], shape: [1, 1, 2]))
    let model = ModelGeometry(
        nativeLatentSide: 128,
        vaeFactor: 8,
        latentChannels: 4,
        usesTimeIDs: false
    )
    let job = cluster.cluster.open(model)
    let views = (0..<200).map { index in
        WorkUnit.view(
            index,
            Tensor(zeros: [1, 128, 128, 4]),
            timestep: 500,
            guidance: 1,
            prompts: Prompts(positive: prompt, negative: nil)
        )
    }
    _ = try job.evaluate(views) { _ in }
    let before = processorSeconds()
    for _ in 0..<5 { _ = try job.evaluate(views) { _ in } }
    return (processorSeconds() - before) / 1000 * 1000
}

let arguments = CommandLine.arguments
guard arguments.count == 3 else {
    FileHandle.standardError.write(
        Data("Schedules TEST_WORKER|internet|regions|liars SCHEDULER_CONFIG\n".utf8)
    )
    exit(64)
}
if arguments[1] == "internet" {
    try measureInternet(config: arguments[2])
    exit(0)
}
if arguments[1] == "regions" {
    try measureRegions(config: arguments[2])
    exit(0)
}
if arguments[1] == "liars" {
    try measureLiars(config: arguments[2])
    exit(0)
}
var random = SimulationRandom(state: 16)
let fleet = (0..<1000).map { _ in member(pace: Double.random(in: 0.5...3, using: &random)) }
let plan = try steps(side: 16_384, config: arguments[2])
let large = efficiency(fleet, plan, warmUp: 3000)
let cold = efficiency(fleet, plan)
let cost = try millisecondsPerView(worker: arguments[1])
print("4,096 pixels, equal workers (1 s a view, 20 ms of round trip):")
print("  workers   of ceil(views/workers)")
let small = try steps(side: 4096, config: arguments[2])
for workers in [1, 2, 4, 8, 16, 32, 64] {
    let equal = efficiency((0..<workers).map { _ in member(pace: 1) }, small)
    print("  \(String(format: "%7d   %.3f", workers, equal.share))")
}
print("4,096 pixels, a few unlike workers, of the ideal schedule of single steps:")
print("  seconds a view    method      one by one  overlapping")
for paces in [[1.0, 1], [1, 3], [1, 2, 4], [1, 1, 2, 2, 6]] {
    for method in Method.allCases {
        let phases = try StepPlan.whole(method, side: 4096, config: arguments[2])
        let shares = [false, true].map { overlaps in
            share(of: phases, paces.map { member(pace: $0) }, overlaps: overlaps)
        }
        let names = paces.map { String(format: "%g", $0) }.joined(separator: ", ")
        print(
            "  \(names.padding(toLength: 16, withPad: " ", startingAt: 0))"
                + "  \(method.rawValue.padding(toLength: 10, withPad: " ", startingAt: 0))"
                + String(format: "       %.3f        %.3f", shares[0], shares[1])
        )
    }
}
print(
    "16,384 pixels, 1,000 workers whose speeds differ sixfold: "
        + String(format: "%.3f of the ideal schedule;", large.share)
        + String(format: " %.3f in five steps a phase with no speed known at first", cold.share)
)
print(
    "dispatcher among 1,000 workers: "
        + String(format: "%.3f ms a view", large.seconds * 1000)
)
print(
    String(
        format: "{\"sim_1000_workers_efficiency\": %.4f, \"coordinator_ms_per_view\": %.4f}",
        large.share,
        cost
    )
)
