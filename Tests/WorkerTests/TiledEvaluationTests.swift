import Coordinator
import DirectRendering
import Engine
import FakeModel
import Foundation
import Protocol
import Sampling
import TestSupport
import Testing

@Suite struct TiledEvaluationTests {
    /// Tolerance of encoding, in standard deviations of the latent.
    private static let maxOfLatent = 0.002

    /// Tolerance of decoding, in levels of 255: for one pixel, and for all pixels on average.
    private static let most = (one: 0.5, mean: 0.05)

    private static let models =
        Fixtures.networks.map(\.checkpoint) + ["\(Fixtures.packageRoot)/Models/vista"]

    /// A latent with coarse and fine structure.
    private func latent(_ height: Int, _ width: Int, channels: Int, deviation: Float) -> Tensor {
        let small = TorchRandom.normal(seed: 3, count: height * width * channels)
        let large = TorchRandom.normal(seed: 4, count: 9 * channels)
        return Tensor(shape: [1, height, width, channels]) { out in
            for i in out.indices {
                let (pixel, channel) = (i / channels, i % channels)
                let (row, column) = (pixel / width, pixel % width)
                let place = (row * 3 / height * 3 + column * 3 / width) * channels + channel
                out[i] = deviation * (0.7 * small[i] + 0.7 * large[place])
            }
        }
    }

    private func evaluate(
        _ source: any TileSource,
        _ plan: TilePlan,
        _ renderer: any UnitRenderer,
        observe: @escaping (RenderEvent) -> Void = { _ in }
    ) throws -> Tensor {
        let tiles = try TiledEvaluation(source, plan: plan, on: renderer, observe: observe)
        var rows: [Tensor] = []
        try tiles.finish { rows.append($0) }
        let (height, width) = (plan.latent.height, plan.latent.width)
        let factor = plan.network.half == .decoder ? plan.factor : 1
        return Tensor(
            rows.flatMap(\.values),
            shape: [1, height * factor, width * factor, rows[0].shape[3]]
        )
    }

    /// A picture with edges, smooth parts and noise, −1…1.
    private func picture(_ height: Int, _ width: Int) -> Tensor {
        let noise = TorchRandom.normal(seed: 5, count: height * width * 3)
        return Tensor(shape: [1, height, width, 3]) { out in
            for i in out.indices {
                let (pixel, channel) = (i / 3, i % 3)
                let (y, x) = (
                    Float(pixel / width) / Float(height), Float(pixel % width) / Float(width)
                )
                let form = y > 0.4 + 0.1 * sin(9 * x) ? 0.8 * x - 0.5 : 0.5 - y
                let grain = noise[i] * (x > 0.6 ? 0.2 : 0.02)
                out[i] = min(max(form + 0.2 * Float(channel - 1) + grain, -1), 1)
            }
        }
    }

    /// Tiles in every position give the same latent as one encode of the whole picture.
    @Test(arguments: models, TestedBackends.all)
    func tilesMatchOneEncode(_ model: String, _ backend: BackendKind) throws {
        let vae = try VAE(
            model: Model(path: model),
            options: EngineOptions(backend: backend, threads: 2),
            halves: [.encoder]
        )
        let config = vae.config
        let (height, width) = (34, 47)
        let picture = picture(height * config.factor, width * config.factor)
        let plan = TilePlan(
            latent: Extent(height: height, width: width),
            factor: config.factor,
            network: config.encoder,
            wholeArea: 0,
            side: 13
        )
        #expect(plan.rows.count == 3 && plan.columns.count == 4)
        let renderer = DirectRenderer(vae)
        let source = PictureTiles(latent: plan.latent, factor: config.factor) { picture.cut($0) }
        let found = try evaluate(source, plan, renderer)
        let whole = try vae.latent(of: picture)
        let error = Double(relativeError(found, whole))
        print(
            "encoded tiles against whole, \(model), \(backend): \(error), \(renderer.parts) parts"
        )
        #expect(error <= Self.maxOfLatent)
        // Control: without the whole picture's statistics the tiles differ.
        let region = Region(rows: 0..<12, columns: 0..<12)
        let alone = try vae.latent(of: try source.cut(region))
        #expect(Double(relativeError(alone, whole.cut(region))) > 10 * error)
    }

    /// Tiles in every position, at edges and inside, of unequal sizes.
    @Test(arguments: models, TestedBackends.all)
    func tilesMatchOneDecode(_ model: String, _ backend: BackendKind) throws {
        let vae = try VAE(
            model: Model(path: model),
            options: EngineOptions(backend: backend, threads: 2),
            halves: [.decoder]
        )
        let config = vae.config
        let deviation = 0.8 / config.scalingFactor
        let latent = latent(34, 47, channels: config.latentChannels, deviation: deviation)
        let plan = TilePlan(
            latent: Extent(height: 34, width: 47),
            factor: config.factor,
            network: config.decoder,
            wholeArea: 0,
            side: 13
        )
        #expect(plan.rows.count == 3 && plan.columns.count == 4)
        let renderer = DirectRenderer(vae)
        let found = try evaluate(latent, plan, renderer)
        let whole = try vae.decode(latent)
        #expect(found.shape == whole.shape)
        let levels = found.zip(whole) { abs($0 - $1) * 127.5 }.values
        let (one, mean) = (
            Double(levels.max() ?? 0), levels.reduce(0) { $0 + Double($1) } / Double(levels.count)
        )
        print("tiles against whole, \(model), \(backend): \(one), \(mean), \(renderer.parts) parts")
        #expect(one <= Self.most.one && mean <= Self.most.mean, "\(one) and \(mean) levels")
        // Control: without the whole picture's statistics the tiles differ visibly.
        let alone = try vae.decode(latent.cropped(top: 0, left: 0, height: 12, width: 12))
        let corner = whole.cropped(
            top: 0,
            left: 0,
            height: alone.shape[1],
            width: alone.shape[2]
        )
        let apart = alone.zip(corner) { abs($0 - $1) * 127.5 }.values
        #expect(Double(apart.max() ?? 0) > 10 * one)
    }

    /// A tile has the same bits whether it stays in memory between two norms, is stored in a file, or is lost at every
    /// norm and computed again.
    @Test(arguments: models, AutoencoderHalf.allCases)
    func keptTilesChangeNothing(_ model: String, _ half: AutoencoderHalf) throws {
        func evaluated(tileBytes: Int, losing: Bool = false) throws -> [Float] {
            let vae = try VAE(
                model: Model(path: model),
                options: EngineOptions(backend: TestedBackends.all[0], threads: 2),
                halves: [half],
                tileBytes: tileBytes
            )
            let plan = TilePlan(
                latent: Extent(height: 20, width: 27),
                factor: vae.config.factor,
                network: vae.config.network(half),
                wholeArea: 0,
                side: 10
            )
            let source: any TileSource
            switch half {
            case .decoder:
                source = latent(20, 27, channels: vae.config.latentChannels, deviation: 1)
            case .encoder:
                let picture = picture(20 * plan.factor, 27 * plan.factor)
                source = PictureTiles(latent: plan.latent, factor: plan.factor) { picture.cut($0) }
            }
            let renderer = DirectRenderer(vae, forgetsTiles: losing)
            let result = try evaluate(source, plan, renderer).values
            #expect(renderer.parts == plan.passes * plan.tiles.count)
            return result
        }
        let kept = try evaluated(tileBytes: 1 << 30)
        #expect(try evaluated(tileBytes: 0) == kept)
        #expect(try evaluated(tileBytes: 1 << 16) == kept)
        #expect(try evaluated(tileBytes: 1 << 30, losing: true) == kept)
    }

    /// Pictures whose tiles are unlike the whole: black with a bright corner, flat next to noise, and lines like those
    /// of text.
    @Test(arguments: models) func unevenPicturesAreOneDecode(_ model: String) throws {
        let vae = try VAE(
            model: Model(path: model),
            options: EngineOptions(threads: 2),
            halves: [.decoder, .encoder]
        )
        let config = vae.config
        let side = 33 * config.factor
        let noise = TorchRandom.normal(seed: 8, count: side * side)
        let pictures: [(Int, Int) -> Float] = [
            { y, x in y < side / 8 && x < side / 8 ? 1 : -1 },
            { y, x in x < side / 2 ? 0.3 : min(max(noise[y * side + x], -1), 1) },
            { y, x in y / 3 % 4 == 0 && x / 2 % 3 != y / 12 % 3 ? -1 : 1 },
        ]
        for (place, value) in pictures.enumerated() {
            let picture = Tensor(shape: [1, side, side, 3]) { out in
                for i in out.indices { out[i] = value(i / 3 / side, i / 3 % side) }
            }
            func plan(_ half: AutoencoderHalf) -> TilePlan {
                TilePlan(
                    latent: Extent(height: 33, width: 33),
                    factor: config.factor,
                    network: config.network(half),
                    wholeArea: 0,
                    side: 11
                )
            }
            let encoding = plan(.encoder)
            let source = PictureTiles(latent: encoding.latent, factor: config.factor) {
                picture.cut($0)
            }
            let latent = try vae.latent(of: picture)
            let coded = try evaluate(source, encoding, DirectRenderer(vae))
            let error = Double(relativeError(coded, latent))
            #expect(error <= Self.maxOfLatent, "picture \(place), encoded: \(error)")
            let whole = try vae.decode(latent)
            let found = try evaluate(latent, plan(.decoder), DirectRenderer(vae))
            let levels = found.zip(whole) { abs($0 - $1) * 127.5 }.values
            let one = Double(levels.max() ?? 0)
            let mean = levels.reduce(0) { $0 + Double($1) } / Double(levels.count)
            print("picture \(place), \(model): \(error), \(one), \(mean)")
            #expect(one <= Self.most.one && mean <= Self.most.mean, "picture \(place): \(one)")
        }
    }

    /// The same bytes for any number of workers, even if one leaves halfway, one returns only NaN, or one keeps no
    /// tiles.
    @Test(arguments: AutoencoderHalf.allCases) func workersChangeNothing(half: AutoencoderHalf)
        throws
    {
        let factor = half == .decoder ? 1 : FakeNetworks.vaeFactor
        let input = latent(
            20 * factor,
            26 * factor,
            channels: half == .decoder ? 4 : 3,
            deviation: 1
        )
        let plan = TilePlan(
            latent: Extent(height: 20, width: 26),
            factor: FakeNetworks.vaeFactor,
            network: FakeNetworks.network(half),
            wholeArea: 0,
            side: 8
        )
        let source: any TileSource =
            half == .decoder
            ? input : PictureTiles(latent: plan.latent, factor: factor) { input.cut($0) }
        var results: [[Float]] = []
        for workers in 1...3 {
            let local = try ThreadCluster()
            defer { local.stop() }
            // Slow workers, so that others join before everything is done.
            for index in 0..<workers {
                try local.add(index == 1 || workers == 2 ? .slow(5) : .good)
            }
            var forgetful: FakeNetworks?
            if workers == 2 { forgetful = try local.add(.forgetful) }
            if workers == 3 {
                try local.add(.nan)
                try local.add(name: "leaving")
            }
            let job = local.cluster.open(geometry)
            var norms = 0
            let result = try evaluate(source, plan, job) {
                if case .measuring = $0 { norms += 1 }
                if norms == 3 { local.stop("leaving") }
            }
            results.append(result.values)
            if let forgetful { #expect(forgetful.missCount > 0) }
        }
        #expect(results[0] == results[1] && results[0] == results[2])
        // The tokens reached the workers, and the statistics are those of the whole.
        #expect(results[0].contains { abs($0) > 1 })
    }

    @Test func partsThatDoNotFitAreRefused() throws {
        let model = try #require(Self.models.first)
        let vae = try VAE(
            model: Model(path: model),
            options: EngineOptions(),
            halves: [.decoder, .encoder]
        )
        let groups = vae.config.decoder.groups
        let inputs: [AutoencoderHalf: Tensor] = [
            .decoder: Tensor(zeros: [1, 8, 8, vae.config.latentChannels]),
            .encoder: Tensor(zeros: [1, 8 * vae.config.factor, 8 * vae.config.factor, 3]),
        ]
        let one = Moments(mean: 0, variance: 1)
        let some = Array(repeating: one, count: groups)
        let wrong: [PicturePart] = [
            PicturePart(),
            PicturePart(margins: .init(top: 4, left: 0, bottom: 4, right: 0), norm: 1),
            PicturePart(margins: .init(top: .max, left: 0, bottom: 0, right: 0), norm: 1),
            PicturePart(norm: 1000),
            PicturePart(norm: -1),
            // Too few statistics for the norm, and too many.
            PicturePart(norm: 2),
            PicturePart(statistics: some, norm: 1),
            PicturePart(statistics: [one], norm: 1),
            PicturePart(
                statistics: Array(repeating: Moments(mean: .nan, variance: 1), count: groups),
                norm: 2
            ),
            PicturePart(
                statistics: Array(repeating: Moments(mean: 0, variance: -1), count: groups),
                norm: 2
            ),
            PicturePart(norm: 1, tokens: .init(stride: 1, firstRow: 0, firstColumn: 0)),
            PicturePart(
                statistics: some + some,
                norm: 3,
                tokens: .init(stride: 1, firstRow: 8, firstColumn: 0)
            ),
            PicturePart(
                statistics: some + some,
                norm: 3,
                tokens: .init(stride: 0, firstRow: 0, firstColumn: 0)
            ),
        ]
        for (half, input) in inputs {
            for part in wrong {
                #expect(throws: InputError.self) {
                    try vae.evaluate(half, input, as: part, keys: [])
                }
            }
            let keys = [Tensor(zeros: [1, 2, 3])]
            #expect(throws: TileNotKept.self) {
                let part = PicturePart(norm: 1, tile: TileID(picture: 1, index: 0))
                return try vae.evaluate(half, .omitted, as: part, keys: [])
            }
            #expect(throws: InputError.self) {
                try vae.evaluate(half, input, as: PicturePart(norm: 1), keys: keys)
            }
        }
        // Not a whole number of latent pixels.
        #expect(throws: InputError.self) {
            let odd = Tensor(zeros: [1, vae.config.factor, vae.config.factor + 1, 3])
            return try vae.evaluate(.encoder, odd, as: PicturePart(norm: 1), keys: [])
        }
    }
}
