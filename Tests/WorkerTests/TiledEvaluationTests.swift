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
    /// The bar of encoding: deviations of the latent that a number may be off.
    private static let maxOfLatent = 0.02

    /// The bar: levels of 255 that a pixel, and all pixels on average, may be off.
    private static let most = (one: 2.0, mean: 0.25)

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
        _ renderer: any UnitRenderer
    ) throws -> Tensor {
        let tiles = try TiledEvaluation(source, plan: plan, on: renderer, copyArea: 400) { _ in }
        let rows = try plan.rows.map { Tensor(sideBySide: try tiles.row($0)) }
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

    /// Tiles of every position give the latent that one encode of the whole gives.
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

    /// Tiles of every position, at edges and inside, of unequal sizes.
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

    /// The same bytes for any number of workers, one of which dies in the middle.
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
        for workers in [1, 3] {
            let local = try ThreadCluster()
            defer { local.stop() }
            for index in 0..<workers { try local.add(index == 1 ? .slow(3) : .good) }
            if workers > 1 { try local.add(.nan) }
            let job = local.cluster.open(geometry)
            results.append(try evaluate(source, plan, job).values)
        }
        #expect(results[0] == results[1])
        // The tokens came to the workers, and the statistics are those of the whole.
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
        let wrong: [PicturePart] = [
            PicturePart(),
            PicturePart(margins: .init(top: 4, left: 0, bottom: 4, right: 0), norms: 1),
            PicturePart(margins: .init(top: .max, left: 0, bottom: 0, right: 0), norms: 1),
            PicturePart(norms: 1000),
            PicturePart(statistics: [one], norms: 1),
            PicturePart(
                statistics: Array(repeating: Moments(mean: .nan, variance: 1), count: groups),
                norms: 1
            ),
            PicturePart(
                statistics: Array(repeating: Moments(mean: 0, variance: -1), count: groups),
                norms: 1
            ),
            PicturePart(norms: 3, tokens: .init(stride: 1, firstRow: 8, firstColumn: 0)),
            PicturePart(norms: 3, tokens: .init(stride: 0, firstRow: 0, firstColumn: 0)),
        ]
        for (half, input) in inputs {
            for part in wrong {
                #expect(throws: InputError.self) {
                    try vae.evaluate(half, input, as: part, keys: [])
                }
            }
            let keys = [Tensor(zeros: [1, 2, 3])]
            #expect(throws: InputError.self) {
                try vae.evaluate(half, input, as: PicturePart(norms: 3), keys: keys)
            }
        }
        // Half a latent pixel.
        #expect(throws: InputError.self) {
            let odd = Tensor(zeros: [1, vae.config.factor, vae.config.factor + 1, 3])
            return try vae.evaluate(.encoder, odd, as: PicturePart(norms: 1), keys: [])
        }
    }
}
