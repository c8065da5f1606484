import Coordinator
import Engine
import Foundation
import Protocol
import Sampling
import TestSupport
import Testing
import Worker

/// The real networks behind the protocol. Their numbers are checked in EngineTests.
@Suite(.serialized) struct LoadedNetworksTests {
    @Test(arguments: Fixtures.networks)
    func aRealModelAnswersThroughTheClusterAsItDoesDirectly(fixture: NetworkFixture) throws {
        let model = try Model(path: fixture.checkpoint)
        let identity = try ModelIdentity(of: model)
        let networks = LoadedNetworks(model, identity: identity, options: EngineOptions())
        let unet = try model.unetConfig()
        let vae = try model.vaeConfig()

        let directory = try PrivateDirectory()
        defer { directory.remove() }
        let cluster = try Cluster(
            .init(endpoint: directory.endpoint, model: identity),
            logger: quiet
        )
        defer { cluster.stop() }
        var options = WorkerProcess.Options(endpoint: cluster.endpoint)
        options.ownsProcess = false
        let worker = try WorkerProcess(Evaluator(networks), options: options, logger: quiet)
        let thread = NamedThread("worker") { try? worker.run() }
        defer {
            worker.stop()
            thread.join()
        }

        func prompt(_ value: Float) -> Embedding {
            func filled(_ shape: [Int]) -> Tensor {
                Tensor((0..<shape.reduce(1, *)).map { sin(Float($0) * value) }, shape: shape)
            }
            return Embedding(
                context: filled([1, 77, unet.crossAttentionDim]),
                pooled: unet.pooledWidth.map { filled([1, $0]) }
            )
        }
        let prompts = Prompts(positive: prompt(0.3), negative: prompt(0.7))
        let job = cluster.open(
            ModelGeometry(
                nativeLatentSide: unet.sampleSize,
                vaeFactor: vae.factor,
                latentChannels: vae.latentChannels,
                usesTimeIDs: unet.needsTimeIDs
            )
        )
        let latent = Tensor(
            (0..<(8 * 8 * unet.inChannels)).map { cos(Float($0)) },
            shape: [1, 8, 8, unet.inChannels]
        )
        let view = WorkUnit.view(
            0,
            latent,
            timestep: 501,
            guidance: 5,
            prompts: prompts,
            timeIDs: unet.needsTimeIDs ? [64, 64, 0, 8, 64, 64] : nil
        )
        func directly(_ units: [WorkUnit]) throws -> [[Float]] {
            try Evaluator(networks).evaluate(units).map(\.wholeTensor.values)
        }
        let expected = try directly([view])[0]
        let predictions = try job.tensors([view, view])
        #expect(predictions.allSatisfy { $0.values == expected })
        // The halves have the same bits, in one batch or in two.
        let halves = try #require(view.halves)
        let together = try Evaluator(networks).evaluate(halves)
        #expect(view.joined(together).tensor?.values == expected)
        #expect(try directly([halves[0]])[0] == together[0].tensor?.values)
        let picture = try job.tensors([.tile(0, .decoder, latent)])
        #expect(picture[0].shape == [1, 8 * vae.factor, 8 * vae.factor, 3])
        #expect(picture[0].values == (try directly([.tile(0, .decoder, latent)])[0]))
    }
}
