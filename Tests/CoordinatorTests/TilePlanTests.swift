import Coordinator
import Engine
import Sampling
import TestSupport
import Testing

@Suite struct TilePlanTests {
    private static let network = TiledNetwork(
        norms: 4,
        groups: 1,
        attention: 1,
        width: 512,
        halo: 18
    )

    @Test(arguments: [(128, 128), (129, 128), (300, 41), (17, 4000), (1, 20000)])
    func tilesCoverThePictureOnce(_ height: Int, _ width: Int) {
        let plan = TilePlan(
            latent: Extent(height: height, width: width),
            factor: 8,
            network: Self.network
        )
        #expect(plan.isWhole == (height * width <= 128 * 128))
        #expect(plan.rows.first?.lowerBound == 0 && plan.rows.last?.upperBound == height)
        #expect(plan.columns.first?.lowerBound == 0 && plan.columns.last?.upperBound == width)
        for spans in [plan.rows, plan.columns] {
            for (a, b) in zip(spans, spans.dropFirst()) { #expect(a.upperBound == b.lowerBound) }
            #expect(plan.isWhole || spans.allSatisfy { $0.count <= TilePlan.side })
        }
        for tile in plan.tiles {
            let margins = plan.margins(of: tile)
            #expect(tile.rows.lowerBound - margins.top >= 0)
            #expect(margins.top == 18 || tile.rows.lowerBound == margins.top)
            #expect(tile.columns.upperBound + margins.right <= width)
            #expect(margins.right == 18 || tile.columns.upperBound + margins.right == width)
        }
    }

    /// Together, the tiles give the lattice of the whole, and no more tokens than may be sent.
    @Test(arguments: [(200, 300), (257, 256), (2048, 2048), (30, 5000)])
    func keysAreOneLattice(_ height: Int, _ width: Int) {
        let latent = Extent(height: height, width: width)
        let lattice = KeyLattice(latent: latent, width: 512)
        let plan = TilePlan(latent: latent, factor: 8, network: Self.network)
        var found: Set<[Int]> = []
        var count = 0
        for tile in plan.tiles {
            guard let own = lattice.tokens(of: tile) else { continue }
            let places = own.places(height: tile.rows.count, width: tile.columns.count)
            for row in places.rows {
                for column in places.columns {
                    found.insert([tile.rows.lowerBound + row, tile.columns.lowerBound + column])
                    count += 1
                }
            }
        }
        #expect(count == found.count && count == lattice.count(in: latent))
        #expect(count <= 65536)
        #expect((lattice.stride == 1) == (height * width <= 65536))
        #expect(found.allSatisfy { $0.allSatisfy { $0 % lattice.stride == lattice.first } })
    }

    @Test func messagesHoldWhatIsSaidOfSDXLButNotOfAnything() {
        func network(norms: Int, width: Int) -> TiledNetwork {
            TiledNetwork(
                norms: norms,
                groups: 32,
                attention: 2,
                width: width,
                halo: 18
            )
        }
        #expect(network(norms: 30, width: 512).fitsMessages)
        #expect(!network(norms: 121, width: 512).fitsMessages)
        #expect(!network(norms: 30, width: 2048).fitsMessages)
    }

    @Test func momentsOfPartsCombineToThoseOfTheWhole() {
        let numbers = (0..<1000).map { 1000 + Double($0 * $0 % 97) / 7 }
        func moments(_ part: ArraySlice<Double>) -> Moments {
            let mean = part.reduce(0, +) / Double(part.count)
            let squares = part.reduce(0) { $0 + ($1 - mean) * ($1 - mean) }
            return Moments(mean: mean, variance: squares / Double(part.count))
        }
        let cuts = [0, 1, 300, 301, 850, 1000]
        let parts = zip(cuts, cuts.dropFirst()).map {
            (weight: $1 - $0, moments: [moments(numbers[$0..<$1])])
        }
        let (joined, whole) = ([Moments](joining: parts)[0], moments(numbers[...]))
        #expect(abs(joined.mean - whole.mean) < 1e-10)
        #expect(abs(joined.variance / whole.variance - 1) < 1e-12)
    }

    /// The cost of tiles includes their margins. Values are from `python Tests/tile_costs.py`.
    @Test func tilesCostTheirMargins() throws {
        let config = try VAEConfig(file: "\(Fixtures.packageRoot)/Models/vista/vae/config.json")
        func plan(_ height: Int, _ width: Int, _ side: Int) -> TilePlan {
            TilePlan(
                latent: Extent(height: height, width: width),
                factor: 8,
                network: config.decoder,
                wholeArea: 0,
                side: side
            )
        }
        #expect(plan(48, 48, 48).evaluations == 1 && plan(48, 48, 48).passes == 1)
        #expect(abs(plan(48, 48, 16).evaluations - 1.5080690364289726) < 1e-9)
        #expect(abs(plan(160, 130, 96).evaluations - 1.070761384399054) < 1e-9)
        // A tile of the latent is sent with a margin of 14 pixels; a token for each latent pixel and the picture come
        // back.
        let nine = plan(48, 48, 16)
        #expect(config.decoder.norms == 22 && nine.passes == 23 && config.decoder.halo == 14)
        let inputs = (30 + 44 + 30) * (30 + 44 + 30) * 4
        #expect(nine.numbersMoved(latentChannels: 4) == 2304 * (192 + 128) + inputs)
        // Before the first layer at full resolution: 64 channels of 8 × 8 pixels, and margins of 5 pixels on four sides.
        #expect(nine.numbersKept == Int(64 * 64 * 50.5 * 50.5), "\(nine.numbersKept)")
        let shares = (0...22).map { config.decoder.shareOfWork(before: $0) }
        #expect(shares[22] == 1 && shares[0] > 0 && zip(shares, shares.dropFirst()).allSatisfy(<))
    }
}
