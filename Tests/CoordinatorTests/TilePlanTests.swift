import Coordinator
import Engine
import Sampling
import Testing

@Suite struct TilePlanTests {
    private static let network = TiledNetwork(
        norms: 4,
        groups: 1,
        attention: 1,
        width: 512,
        halo: 18,
        attentionHalo: 3
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
            let margins = plan.margins(of: tile, halo: 18)
            #expect(tile.rows.lowerBound - margins.top >= 0)
            #expect(margins.top == 18 || tile.rows.lowerBound == margins.top)
            #expect(tile.columns.upperBound + margins.right <= width)
            #expect(margins.right == 18 || tile.columns.upperBound + margins.right == width)
        }
    }

    /// Together the tiles give the lattice of the whole, and no more than may travel.
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
                halo: 18,
                attentionHalo: 3
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

    /// A chain in which every moment depends on all earlier ones: the solver finds the fixed
    /// point, whatever the copy does.
    @Test func theSolverFindsTheFixedPoint() {
        let count = 12
        func chain(_ used: [Moments], _ place: Int, _ strength: Double) -> Moments {
            let before = used[..<place].reduce(0) { $0 + $1.mean / 3 - ($1.variance - 1) / 2 }
            return Moments(
                mean: 0.3 + strength * before / 4,
                variance: 1.5 + 0.4 * (strength * before).magnitude / (1 + before.magnitude)
            )
        }
        var solver = StatisticsSolver(count: count)
        var differences: [Double] = []
        for _ in 0..<count + 1 {
            var used: [Moments] = []
            for place in 0..<count {
                // The copy's chain is another one.
                let own = chain(used, place, 0.6)
                let change = solver.corrections[place]
                used.append(
                    Moments(
                        mean: own.mean + change.mean,
                        variance: own.variance * change.variance
                    )
                )
            }
            let found = (0..<count).map { chain(used, $0, 1) }
            differences.append(solver.take(used: used, found: found))
        }
        #expect(differences[0] > 0.05)
        #expect((differences.last ?? 1) < 1e-12, "\(differences)")
    }
}
