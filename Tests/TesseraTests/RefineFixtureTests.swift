import Engine
import Foundation
import TestSupport
import Testing

/// Whole refinements through a coordinator and two worker processes, against the oracle.
@Suite struct RefineFixtureTests {
    /// Those with the model's own scheduler: phase 1 is the recorded one.
    static let runs = Fixtures.refinements.flatMap { fixture in
        let file = "\(fixture.checkpoint)/scheduler/scheduler_config.json"
        let own = try? SchedulerConfig(file: file).defaultKind.rawValue
        return fixture.runs.filter { $0.scheduler == own }.map { (fixture, $0) }
    }

    @Test func thereAreRuns() { #expect(Set(Self.runs.map(\.1.scheduler)).count >= 2) }

    @Test(arguments: runs) func rendersWhatTheOracleDoes(
        fixture: RefineFixture,
        run: RefineFixture.Run
    ) throws {
        let expected = try fixture.tensors()
        let factor = try VAEConfig(file: "\(fixture.checkpoint)/vae/config.json").factor
        try inTemporaryFolder { folder in
            let noise = expected.names.filter { $0 == "base_noise" || $0.hasPrefix("phase_noise.") }
            try expected.copy(
                noise.map { ($0, $0) } + [("\(run.name).jitter", "jitter")],
                to: "\(folder)/in.safetensors"
            )
            let command = try Command([
                "render", "--model", fixture.checkpoint, "--workers", "2", "--method", "refine",
                "--prompt", fixture.prompt, "--negative-prompt", fixture.negative,
                "--size", "\(run.width * factor)x\(run.height * factor)",
                "--steps", "\(fixture.steps)", "--guidance", "\(fixture.guidance)",
                "--stride", "\(run.stride)", "--refine-from", "\(run.start)",
                "--refine-steps", "\(run.steps)", "--refine-noise", "\(run.noise)",
                "--refine-guidance", "\(run.guidance)",
                "--ladder", run.scales.map { "\($0)" }.joined(separator: ","),
                "--inputs", "\(folder)/in.safetensors",
                "--dump", "\(folder)/out.safetensors", "--output", "\(folder)/out.png",
            ])
            #expect(command.status == 0, "\(command.errors)")
            let dump = try SafeTensors(file: "\(folder)/out.safetensors")
            for index in run.scales.indices {
                let name = "final.\(index)"
                guard expected.info("\(run.name).\(name)") != nil else { continue }
                expectClose(
                    try dump.tensor(name),
                    try expected.tensor("\(run.name).\(name)"),
                    within: Tolerance.parity,
                    "\(fixture) \(run) \(name)"
                )
            }
        }
    }
}
