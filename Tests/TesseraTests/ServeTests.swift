import Foundation
import TestSupport
import Testing

/// `tessera serve` as its clients see it; the flows are those of `Tests/serve*.py`.
@Suite(.serialized) struct ServeTests {
    @Test(arguments: [
        ("serve", "render"), ("serve", "crash"), ("serve", "change"), ("serve", "events"),
        ("serve", "refusals"), ("serve", "many"), ("serve_access", "tokens"),
        ("serve_access", "network"), ("serve_access", "proxy"), ("serve_access", "origins"),
        ("serve_inputs", "pictures"), ("serve_inputs", "loras"), ("serve_a1111", "txt2img"),
        ("serve_a1111", "img2img"), ("serve_a1111", "session"), ("serve_client", "commands"),
        ("serve_client", "refusals"), ("serve_client", "restart"),
        ("serve_concurrent", "concurrent"), ("serve_concurrent", "weights"),
        ("serve_access", "quotas"),
        ("serve_partial", "partial"),
    ])
    func flow(_ script: String, _ name: String) throws {
        let model = try #require(Fixtures.networks.first).checkpoint
        let process = Process()
        let output = Pipe()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = [
            "python3", "\(Fixtures.packageRoot)/Tests/\(script).py",
            "\(Fixtures.packageRoot)/.build/release/tessera", model, name,
        ]
        (process.standardOutput, process.standardError) = (output, output)
        try process.run()
        let text = output.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        #expect(process.terminationStatus == 0, "\(String(decoding: text, as: UTF8.self))")
    }

    @Test func refusesTheNetworkUnlessTold() throws {
        let command = try Command(["serve", "--listen", "0.0.0.0:0"])
        #expect(command.status == 64)
        #expect(command.complaints.count == 1 && command.errors.contains("--tls-certificate"))
    }

    /// A service refuses what a render would refuse, before it reports that it is serving.
    @Test func refusesAModelThatNoJobCouldUse() throws {
        try inTemporaryFolder { folder in
            let source = try #require(Fixtures.networks.first).checkpoint
            let model = "\(folder)/model"
            try FileManager.default.copyItem(atPath: source, toPath: model)
            try FileManager.default.removeItem(
                atPath: "\(model)/unet/diffusion_pytorch_model.safetensors"
            )
            let flags = ["serve", "--listen", "127.0.0.1:0", "--data", "\(folder)/data"]
            let command = try Command(flags + ["--model", model])
            #expect(command.status == 64 && command.complaints.count == 1, "\(command.errors)")
            #expect(!FileManager.default.fileExists(atPath: "\(folder)/data"))
        }
    }

    @Test func aFolderServesOnce() throws {
        try inTemporaryFolder { folder in
            let model = try #require(Fixtures.networks.first).checkpoint
            let flags = ["serve", "--listen", "127.0.0.1:0", "--data", folder, "--model", model]
            let running = try Command.Running(flags)
            #expect(running.waitFor("serving http://127.0.0.1:"))
            let second = try Command(flags)
            #expect(second.status == 64 && second.errors.contains("another tessera serve"))
            running.process.terminate()
            #expect(running.finish().status == 0)
        }
    }
}
