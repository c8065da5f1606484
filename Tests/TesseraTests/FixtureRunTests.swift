import Engine
import Foundation
import TestSupport
import Testing

/// Whole DemoFusion runs through a coordinator and two worker processes, against the oracle.
@Suite struct FixtureRunTests {
    static let runs = Fixtures.networks.flatMap { network in network.runs.map { (network, $0) } }

    @Test func thereAreRuns() { #expect(!Self.runs.isEmpty) }

    @Test(arguments: runs) func rendersWhatTheOracleDoes(
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
            try copy(inputs, of: expected, dropping: run.name, to: "\(folder)/in.safetensors")
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

    /// Copies tensors as they are under names without the prefix.
    private func copy(
        _ names: [String],
        of file: SafeTensors,
        dropping prefix: String,
        to path: String
    ) throws {
        var (entries, data): ([String], Data) = ([], Data())
        for name in names {
            let info = try #require(file.info(name))
            let bytes = try #require(file.bytes(name))
            entries.append(
                "\"\(name.dropFirst(prefix.count + 1))\":{\"dtype\":\"\(info.type.rawValue)\","
                    + "\"shape\":\(info.shape),"
                    + "\"data_offsets\":[\(data.count),\(data.count + bytes.count)]}"
            )
            data.append(contentsOf: bytes)
        }
        let header = Data("{\(entries.joined(separator: ","))}".utf8)
        let length = withUnsafeBytes(of: UInt64(header.count).littleEndian) { Data($0) }
        try (length + header + data).write(to: URL(fileURLWithPath: path))
    }
}
