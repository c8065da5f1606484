import Engine
import Foundation
import TestSupport
import Testing

/// Whole refinements through a coordinator and two worker processes, against the oracle.
@Suite struct RefineFixtureTests {
    static let runs = Fixtures.refinements.flatMap { fixture in fixture.runs.map { (fixture, $0) } }

    @Test func thereAreRuns() { #expect(Set(Self.runs.map(\.1.scheduler)).count >= 6) }

    @Test(arguments: runs) func rendersWhatTheOracleDoes(
        fixture: RefineFixture,
        run: RefineFixture.Run
    ) throws {
        let expected = try fixture.tensors()
        let factor = try VAEConfig(file: "\(fixture.checkpoint)/vae/config.json").factor
        // Another scheduler makes another phase 1: such a run begins with the one recorded.
        try inTemporaryFolder { folder in
            let noise = expected.names.filter { $0 == "base_noise" || $0.hasPrefix("phase_noise.") }
            try expected.copy(
                noise.map { ($0, $0) } + [("\(run.name).jitter", "jitter")],
                to: "\(folder)/in.safetensors"
            )
            let isUniform = run.scheduler == "sgm_uniform"
            let command = try Command([
                "render", "--model", fixture.checkpoint, "--workers", "2", "--method", "refine",
                "--prompt", fixture.prompt, "--negative-prompt", fixture.negative,
                "--size", "\(run.width * factor)x\(run.height * factor)",
                "--steps", "\(fixture.steps)", "--guidance", "\(fixture.guidance)",
                "--scheduler", isUniform ? "euler" : run.scheduler,
                "--stride", "\(run.stride)", "--refine-from", "\(run.start)",
                "--refine-steps", "\(run.steps)", "--refine-noise", "\(run.noise)",
                "--refine-guidance", "\(run.guidance)",
                "--ladder", run.scales.map { "\($0)" }.joined(separator: ","),
                "--inputs", "\(folder)/in.safetensors",
                "--dump", "\(folder)/out.safetensors", "--output", "\(folder)/out.png",
            ] + (isUniform ? ["--sgm-uniform"] : []))
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
