import Engine
import Foundation
import TestSupport
import Testing

/// How the batch size is chosen.
@Suite struct BatchSizesTests {
    private let shape = BatchSizes.Shape(
        WorkUnit(
            .predict(.init(timestep: 1, guidance: 1, conditioning: [.init(embedding: digest)])),
            input: Tensor(zeros: [1, 8, 8, 4])
        )
    )
    private static let digest = Embedding(context: Tensor(zeros: [1, 1, 1])).digest

    /// Runs batches that take `seconds`, by their size, and returns the sizes that were chosen.
    private func sizes(
        _ sizes: inout BatchSizes,
        rounds: Int = 40,
        _ seconds: (Int) -> Double
    ) throws -> [Int] {
        let shape = try #require(shape)
        return (0..<rounds).map { _ in
            let size = sizes.size(of: shape)
            sizes.note(shape, views: size, seconds: seconds(size))
            return size
        }
    }

    @Test func growsWhileItPays() throws {
        var batches = BatchSizes(limit: 32, isMeasured: true)
        // Up to eight views take one second plus 0.1 s each.
        let found = try sizes(&batches) { $0 <= 8 ? 1 + 0.1 * Double($0) : 0.25 * Double($0) }
        #expect(found.last == 8 && found.max() == 16)
        #expect(found.filter { $0 == 1 }.count == 3, "three batches of each size")
    }

    @Test func staysAtOneWhereNothingIsGained() throws {
        var batches = BatchSizes(limit: 32, isMeasured: true)
        let found = try sizes(&batches) { Double($0) }
        #expect(found.max() == 2 && found.last == 1)
    }

    @Test func neverExceedsTheMemory() throws {
        var batches = BatchSizes(limit: 32, isMeasured: true)
        _ = try sizes(&batches, rounds: 7) { _ in 1 }
        batches.restrict(to: 3)
        let found = try sizes(&batches) { _ in 1 }
        #expect(found.allSatisfy { $0 == 3 || $0 == 2 } && batches.largest <= 3)
    }

    @Test func aGivenSizeIsNotMeasured() throws {
        var batches = BatchSizes(limit: 5)
        #expect(try sizes(&batches) { Double($0 * $0) }.allSatisfy { $0 == 5 })
    }
}

/// Batches and tiles that do not fit in a device's memory.
@Suite(.serialized) struct DeviceMemoryTests {
    /// Views that can share a batch, except the second, which has another shape. With the fixtures' own noise and
    /// prompts, diffusers in float32 is within 5e-6 of float64; with made-up ones, such as sines, it may be off by
    /// 6e-4, and the test would mean nothing.
    private func units(_ count: Int, _ fixture: NetworkFixture) throws -> [WorkUnit] {
        let conditions = try Conditions(fixture)
        let prompts = (0..<2).map { i in
            let row = conditions.row(i)
            return Embedding(context: row.context, pooled: row.pooled)
        }
        let noise = try fixture.tensors().tensor("unet.0.input").channelsLast().rows[0]
        let side = noise.shape[1]
        return (0..<count).map { number in
            let scaled = noise.map { $0 * (1 + 0.1 * Float(number)) }
            let input =
                number == 1
                ? scaled.cropped(top: 0, left: 0, height: side / 2, width: side) : scaled
            return WorkUnit(
                .predict(
                    .init(
                        timestep: 500,
                        guidance: 1,
                        conditioning: prompts.enumerated().map { i, prompt in
                            .init(embedding: prompt.digest, timeIDs: conditions.timeIDs?[i])
                        }
                    )
                ),
                input: input,
                embeddings: Dictionary(uniqueKeysWithValues: prompts.map { ($0.digest, $0) })
            )
        }
    }

    private func networks(
        _ fixture: NetworkFixture,
        _ options: EngineOptions,
        batch: Int
    ) throws -> LoadedNetworks {
        let model = try Model(path: fixture.checkpoint)
        let identity = try ModelIdentity(of: model)
        return LoadedNetworks(model, identity: identity, options: options, batch: batch)
    }

    /// Batches of 1, 2 and 5 through PyTorch match the reference backend, view by view.
    @Test(.enabled(if: TestedBackends.hasTorch), arguments: Fixtures.networks, [1, 2, 5])
    func batchesAgreeWithSingleViews(_ fixture: NetworkFixture, _ batch: Int) throws {
        let units = try units(6, fixture)
        let torch = EngineOptions(backend: .torch, threads: 2)
        let found = try Evaluator(networks(fixture, torch, batch: batch)).evaluate(units)
        let own = try Evaluator(networks(fixture, EngineOptions(threads: 2), batch: 1))
            .evaluate(units)
        for (i, (a, b)) in zip(found, own).enumerated() {
            expectClose(a.wholeTensor, b.wholeTensor, within: Tolerance.parity, "view \(i)")
        }
    }

    /// A batch that does not fit is halved and retried, and the size that fits is remembered.
    @Test func batchesThatDoNotFitAreHalved() throws {
        let fixture = try #require(Fixtures.networks.first)
        try FakeTorch.inTurn { folder in
            try FakeTorch.build(in: folder)
            let options = EngineOptions(backend: .torch, torch: folder)
            let evaluator = Evaluator(try networks(fixture, options, batch: 8))
            let views = try units(9, fixture).enumerated().filter { $0.offset != 1 }.map(\.element)
            #expect(evaluator.fittingViews == nil)
            try FakeTorch.failing("rows>5") { () throws in
                #expect(try evaluator.evaluate(views).count == 8)
                #expect(evaluator.fittingViews == 2)
                let before = evaluator.evaluations
                #expect(try evaluator.evaluate(views).count == 8)
                #expect(evaluator.evaluations - before == 16, "no batch failed again")
            }
            // Not even one row fits.
            let error = FakeTorch.failing("rows>0") {
                #expect(throws: DeviceError.self) { _ = try evaluator.evaluate(views) }
            }
            #expect(error?.description.contains("one view of 16×16 latent pixels") == true)
            #expect(error?.description.contains("What helps: a lower precision") == true)
        }
    }

    /// Tiles kept on the device are moved to files before a batch is halved, and are still available afterwards.
    @Test func keptTilesMakeRoomForViews() throws {
        let fixture = try #require(Fixtures.networks.first)
        try FakeTorch.inTurn { folder in
            try FakeTorch.build(in: folder)
            let options = EngineOptions(backend: .torch, torch: folder)
            let networks = try networks(fixture, options, batch: 4)
            let evaluator = Evaluator(networks)
            let views = try units(5, fixture).enumerated().filter { $0.offset != 1 }.map(\.element)
            let config = try networks.model.vaeConfig()
            func tile(_ input: Tensor, _ statistics: [Moments], norm: Int) -> WorkUnit {
                let id = TileID(picture: 1, index: 0)
                let part = PicturePart(statistics: statistics, norm: norm, tile: id)
                return WorkUnit(.autoencode(.decoder, part), input: input)
            }
            let input = Tensor(zeros: [1, 8, 8, config.latentChannels])
            let first = try evaluator.evaluate([tile(input, [], norm: 1)])[0].statistics
            #expect(try evaluator.evaluate(views).count == 4)
            try FakeTorch.failing("oom@3") { () throws in
                #expect(try evaluator.evaluate(views).count == 4)
            }
            #expect(evaluator.fittingViews == nil, "the batch is not halved")
            let second = try evaluator.evaluate([tile(.omitted, first, norm: 2)])[0].statistics
            #expect(second.count == config.decoder.groups, "the tile goes on")
            // The tile is in a file now, so there is nothing to move.
            try FakeTorch.failing("oom@3") { () throws in
                #expect(try evaluator.evaluate(views).count == 4)
            }
            #expect(evaluator.fittingViews != nil)
        }
    }

    /// The upper and lower halves of a tile, with their margins, give the same result as the whole tile.
    @Test(arguments: Fixtures.networks, AutoencoderHalf.allCases)
    func halvesOfATileAreTheTile(_ fixture: NetworkFixture, _ half: AutoencoderHalf) throws {
        let vae = try VAE(
            model: Model(path: fixture.checkpoint),
            options: EngineOptions(threads: 2),
            halves: [half]
        )
        let (network, factor) = (vae.config.network(half), vae.config.factor)
        let (height, width) = (26, 9)
        let shape =
            half == .decoder
            ? [1, height, width, vae.config.latentChannels]
            : [1, height * factor, width * factor, 3]
        let input = Tensor((0..<shape.reduce(1, *)).map { sin(Float($0) * 0.37) }, shape: shape)
        let margins = PicturePart.Margins(top: 2, left: 0, bottom: 0, right: 1)
        let statistics = Array(
            repeating: Moments(mean: 0.1, variance: 0.8),
            count: network.norms * network.groups
        )
        let keys = Embedding(
            context: Tensor(
                (0..<5 * network.width).map { cos(Float($0)) },
                shape: [1, 5, network.width]
            )
        )
        let hasKeys = network.attention != nil
        for norms in [0, 1, network.norms] {
            let known = norms == 0 ? network.norms : norms - 1
            let part = PicturePart(
                margins: margins,
                statistics: Array(statistics.prefix(known * network.groups)),
                norm: norms,
                attention: hasKeys ? [keys.digest] : []
            )
            func evaluate(_ input: Tensor, _ part: PicturePart) throws -> WorkResult {
                try vae.evaluate(half, input, as: part, attending: hasKeys ? [keys.context] : [])
            }
            let whole = try evaluate(input, part)
            let halves = try #require(network.halves(of: input, part, factor: factor))
            let results = try halves.map { try evaluate($0.input, $0.part) }
            let joined = network.joined(halves, results, factor: factor)
            if let tensor = whole.tensor, norms == 0 {
                expectClose(joined.wholeTensor, tensor, within: 1e-4, "\(fixture) \(half)")
            }
            #expect(joined.statistics.count == whole.statistics.count)
            for (a, b) in zip(joined.statistics, whole.statistics) {
                #expect(abs(a.mean - b.mean) < 1e-4 && abs(a.variance - b.variance) < 1e-4)
            }
            // A tile that attends to itself cannot be split into halves.
            var own = part
            own.attention = []
            #expect(
                (network.halves(of: input, own, factor: factor) == nil) == (hasKeys && norms != 1)
            )
        }
    }

    /// A tile that does not fit in memory is evaluated in halves; a whole latent fails with an error that states its
    /// size.
    @Test func tilesThatDoNotFitAreHalved() throws {
        let fixture = try #require(Fixtures.networks.first)
        try FakeTorch.inTurn { folder in
            try FakeTorch.build(in: folder)
            let options = EngineOptions(backend: .torch, torch: folder)
            let networks = try networks(fixture, options, batch: 1)
            let config = try networks.model.vaeConfig()
            let network = config.network(.decoder)
            let input = Tensor(zeros: [1, 16, 8, config.latentChannels])
            let keys = Embedding(context: Tensor(zeros: [1, 3, network.width]))
            let part = PicturePart(
                statistics: Array(
                    repeating: Moments(mean: 0, variance: 1),
                    count: network.norms * network.groups
                ),
                attention: [keys.digest]
            )
            func decode(_ part: PicturePart?) throws -> WorkResult {
                try networks.evaluate(
                    .decoder,
                    input,
                    as: part,
                    attending: part == nil ? [] : [keys.context],
                    cancellation: Cancellation()
                )
            }
            try FakeTorch.failing("oom@3") {
                let picture = try decode(part).wholeTensor
                #expect(picture.shape == [1, 16 * config.factor, 8 * config.factor, 3])
            }
            let error = FakeTorch.failing("rows>0") {
                #expect(throws: DeviceError.self) { _ = try decode(nil) }
            }
            #expect(error?.description.contains("the decoder on 8×16 latent pixels") == true)
        }
    }
}
