import Coordinator
import Engine
import Foundation
import Protocol
import TestSupport
import Testing
import Worker

/// The real networks behind the protocol. Their numbers are checked in EngineTests.
@Suite(.serialized) struct EngineModelHostTests {
    @Test(arguments: Fixtures.networks)
    func aRealModelAnswersThroughTheClusterAsItDoesDirectly(fixture: NetworkFixture) throws {
        let model = try Model(path: fixture.checkpoint)
        let host = try EngineModelHost(model: model, options: EngineOptions())
        let unet = try model.unetConfig()
        let vae = try model.vaeConfig()

        let directory = try PrivateDirectory()
        defer { directory.remove() }
        let cluster = try Cluster(
            .init(endpoint: directory.endpoint, model: ModelIdentity(of: model)),
            logger: quiet
        )
        defer { cluster.stop() }
        var options = WorkerProcess.Options(endpoint: cluster.endpoint)
        options.ownsProcess = false
        let worker = try WorkerProcess(host: host, options: options, logger: quiet)
        let thread = NamedThread("worker") { try? worker.run() }
        defer {
            worker.stop()
            thread.join()
        }

        func prompt(_ value: Float) -> PromptTensors {
            func filled(_ shape: [Int]) -> Tensor {
                Tensor((0..<shape.reduce(1, *)).map { sin(Float($0) * value) }, shape: shape)
            }
            return PromptTensors(
                context: filled([1, 77, unet.crossAttentionDim]),
                pooled: unet.pooledWidth.map { filled([1, $0]) }
            )
        }
        let prompts = Assignment.Prompts(positive: prompt(0.3), negative: prompt(0.7))
        try cluster.begin(
            JobDescription(
                positive: prompts.positive,
                negative: prompts.negative,
                vaeFactor: vae.factor
            )
        )
        let latent = Tensor(
            (0..<(8 * 8 * unet.inChannels)).map { cos(Float($0)) },
            shape: [1, 8, 8, unet.inChannels]
        )
        let ids: [Float]? = unet.needsTimeIDs ? [64, 64, 0, 8, 64, 64] : nil
        func directly(_ work: CoordinatorMessage.Work) throws -> [Float] {
            let task = CoordinatorMessage.Task(unit: UnitID(1), job: 1, work: work, input: latent)
            return try UnitRunner(host: host).run(Assignment(task: task, prompts: prompts)).tensor?
                .values ?? []
        }

        let view = ViewRequest(index: 0, latent: latent, timestep: 501, timeIDs: ids, guidance: 5)
        let predictions = try cluster.predict([view, view]) { _ in }
        let expected = try directly(.predict(.init(timestep: 501, guidance: 5, timeIDs: ids)))
        #expect(predictions.allSatisfy { $0.values == expected })
        let picture = try cluster.evaluate([TileRequest(index: 0, input: latent)]) { _ in }
        #expect(picture[0].shape == [1, 8 * vae.factor, 8 * vae.factor, 3])
        #expect(picture[0].values == (try directly(.autoencode(.decoder))))
    }
}
