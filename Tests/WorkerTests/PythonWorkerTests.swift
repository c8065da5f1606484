import Coordinator
import Engine
import FakeModel
import Foundation
import Protocol
import Testing

/// Python with pyzmq, protobuf and numpy, when the environment names one.
private let python = ProcessInfo.processInfo.environment["TESSERA_TEST_PYTHON"]

/// `TESSERA_TEST_PYTHON=/path/to/python swift test --filter PythonWorkerTests`: a worker written
/// from docs/protocol.md alone renders beside ours.
@Suite(.enabled(if: python != nil)) struct PythonWorkerTests {
    private let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        .deletingLastPathComponent().deletingLastPathComponent()

    private func start(_ program: String, _ arguments: [String], modules: String) throws -> Process
    {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = ["PYTHONPATH=\(modules)", program] + arguments
        try process.run()
        return process
    }

    /// With the current version of the protocol, with the previous one, which has no checksums, and with every third
    /// answer damaged. Over TCP, tensors are packed in both directions.
    @Test(
        arguments: [["--protocol", "8"], ["--protocol", "7"], ["--flip", "3"]],
        [nil, "tcp://127.0.0.1:0"]
    )
    func aWorkerInPythonGivesTheSameAnswers(arguments: [String], address: String?) throws {
        let python = try #require(python)
        let modules = FileManager.default.temporaryDirectory
            .appending(path: "tessera-python-\(getpid())").path
        try FileManager.default.createDirectory(
            atPath: modules,
            withIntermediateDirectories: true
        )
        defer { try? FileManager.default.removeItem(atPath: modules) }
        let proto = root.appending(path: "Sources/Protocol").path
        let compiler = try start(
            "protoc",
            ["--proto_path=\(proto)", "--python_out=\(modules)", "messages.proto"],
            modules: modules
        )
        compiler.waitUntilExit()
        try #require(compiler.terminationStatus == 0)

        let endpoint = try address.map { try Endpoint($0) }
        let local = try ThreadCluster { if let endpoint { $0.endpoint = endpoint } }
        defer { local.stop() }
        let worker = try start(
            python,
            [
                root.appending(path: "Tests/PythonWorker/worker.py").path,
                "--connect", local.cluster.endpoint.address, "--digest", FakeNetworks.digest,
            ] + arguments,
            modules: modules
        )
        defer { worker.waitUntilExit() }
        let job = local.cluster.open(geometry)
        for negative in [nil, Float(1)] {
            let views = makeViews(20, prompts: prompts(negative: negative))
            let answers = try job.tensors(views).map(\.values)
            for (a, b) in zip(answers.joined(), try expected(views).joined()) {
                #expect(abs(a - b) <= 1e-5 * max(1, abs(b)))
            }
        }
        let latent = Tensor([1, 2, 3, 4], shape: [1, 1, 1, 4])
        let picture = try job.tensors([.tile(0, .decoder, latent)])
        #expect(picture[0].shape == [1, 8, 8, 3] && picture[0].values.prefix(3) == [1, 2, 3])
        #expect(local.cluster.statistics.map(\.name) == ["python"])
        #expect(local.cluster.statistics.map(\.version) == [arguments.contains("7") ? 7 : 8])
        #expect((local.cluster.statistics[0].damaged > 0) == arguments.contains("--flip"))
        let tokens = Embedding(context: Tensor([1, 2, 3, 6], shape: [1, 2, 2]))
        let wide = Tensor((0..<96).map { Float($0) / 7 }, shape: [1, 4, 6, 4])
        let known = [Moments](repeating: Moments(mean: 0.5, variance: 2), count: 4)
        let margins = PicturePart.Margins(top: 1, left: 0, bottom: 0, right: 2)
        let (encoder, whole) = (
            AutoencoderHalf.encoder, Tensor((0..<768).map { Float($0) / 9 }, shape: [1, 16, 16, 3])
        )
        let code = try job.tensors([.tile(0, encoder, whole)])
        #expect(
            code[0].shape == [1, 2, 2, 4] && code[0].values.prefix(4) == [0, 1.0 / 9, 2.0 / 9, 1]
        )
        let large = Tensor((0..<4608).map { Float($0) / 99 }, shape: [1, 32, 48, 3])
        for (half, input) in [(AutoencoderHalf.decoder, wide), (encoder, large)] {
            for part in [
                PicturePart(margins: margins, statistics: known),
                PicturePart(
                    margins: margins,
                    statistics: known,
                    norm: 3,
                    tile: TileID(picture: 7, index: 0)
                ),
                PicturePart(norm: 1),
                PicturePart(
                    margins: margins,
                    statistics: Array(known.prefix(2)),
                    norm: 2,
                    tokens: .init(stride: 2, firstRow: 1, firstColumn: 0)
                ),
            ] {
                let unit = WorkUnit.tile(0, half, input, part: part, attending: [tokens])
                let found = try job.evaluate([unit]) { _ in }[0]
                let wanted = try FakeNetworks().evaluate(
                    half,
                    input,
                    as: part,
                    attending: [tokens.context],
                    cancellation: Cancellation()
                )
                #expect(found.tensor?.shape == wanted.tensor?.shape)
                for (a, b) in zip(found.tensor?.values ?? [], wanted.tensor?.values ?? []) {
                    #expect(abs(a - b) <= 1e-4)
                }
                #expect(found.statistics.count == wanted.statistics.count)
                for (a, b) in zip(found.statistics, wanted.statistics) {
                    #expect(abs(a.mean - b.mean) <= 1e-4 && abs(a.variance - b.variance) <= 1e-4)
                }
            }
        }
        local.cluster.stop()
    }
}
