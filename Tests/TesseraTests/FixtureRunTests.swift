import Engine
import Foundation
import TestSupport
import Testing

/// Whole DemoFusion runs through a coordinator and two worker processes, against the oracle.
@Suite struct FixtureRunTests {
    static let runs = Fixtures.networks.flatMap { network in network.runs.map { (network, $0) } }

    @Test func thereAreRuns() { #expect(!Self.runs.isEmpty) }

    @Test(arguments: runs) func rendersLikeTheReference(
        network: NetworkFixture,
        run: RunFixture
    ) throws {
        let expected = try network.tensors()
        let factor = try VAEConfig(file: "\(network.checkpoint)/vae/config.json").factor
        try inTemporaryFolder { folder in
            let inputs = expected.names.filter { name in
                ["base_noise", "phase_noise", "jitter"].contains { part in
                    name.hasPrefix("\(run.name).\(part)")
                }
            }
            try expected.copy(
                inputs.map { ($0, String($0.dropFirst(run.name.count + 1))) },
                to: "\(folder)/in.safetensors"
            )
            let command = try Command([
                "render", "--model", network.checkpoint, "--workers", "2",
                "--prompt", network.prompt, "--negative-prompt", network.negative,
                "--size", "\(run.width * factor)x\(run.height * factor)",
                "--steps", "\(run.steps)", "--stride", "\(run.stride)",
                "--guidance", "\(run.guidance)", "--sigma", "\(run.sigma)",
                "--cosine-scales", run.cosine.map { "\($0)" }.joined(separator: ","),
                "--ladder", run.scales.map { "\($0)" }.joined(separator: ","),
                "--border", "zeros", "--inputs", "\(folder)/in.safetensors",
                "--dump", "\(folder)/out.safetensors", "--output", "\(folder)/out.png",
            ])
            #expect(command.status == 0, "\(command.errors)")
            let dump = try SafeTensors(file: "\(folder)/out.safetensors")
            let names = run.scales.indices.map { "final.\($0)" } + ["image"]
            for name in names {
                expectClose(
                    try dump.tensor(name),
                    try expected.tensor("\(run.name).\(name)"),
                    within: Tolerance.parity,
                    "\(network) \(run) \(name)"
                )
            }
        }
    }
}
