import Engine
import Foundation
import TestSupport
import Testing

/// Whole refinements through a coordinator and two worker processes, against the oracle.
@Suite struct RefineFixtureTests {
    /// Runs of one stage whose phase 1 was recorded with them. Later stages are tested in `RefineRunTests`, each from
    /// the recorded result of the one before and with every value against the oracle: each passes through a VAE with
    /// random weights, which amplifies the rounding errors of the phase before.
    static let runs = Fixtures.refinements.flatMap { fixture in
        fixture.runs.filter { run in
            run.scales.count == 2
                && (try? fixture.tensors().info("\(run.name).final.0")) ?? nil != nil
        }.map { (fixture, $0) }
    }

    @Test func thereAreRunsOfEveryModel() {
        #expect(Self.runs.count >= Fixtures.networks.count - 1)
    }

    @Test(arguments: runs) func rendersLikeTheReference(
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
                let found = try dump.tensor(name)
                let wanted = try expected.tensor("\(run.name).\(name)")
                guard index > 0 else {
                    expectClose(found, wanted, within: Tolerance.parity, "\(fixture) \(run)")
                    continue
                }
                // The error of single values depends on the processor.
                let error = rootMeanSquareError(found, wanted)
                #expect(error <= Tolerance.parity, "\(fixture) \(run) \(name): \(error)")
            }
        }
    }
}
