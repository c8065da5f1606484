import Engine
import Sampling
import TestSupport
import Testing

@Suite struct LadderTests {
    @Test func climbsByWholeScalesToTheTarget() throws {
        let target = Extent(height: 240, width: 384)
        let phases = try Ladder(target: target, nativeSide: 128).phases(
            target: target,
            vaeFactor: 8
        )
        #expect(phases.map(\.scale) == [1, 2, 3])
        #expect(
            phases.map(\.latent) == [
                Extent(height: 10, width: 16), Extent(height: 20, width: 32),
                Extent(height: 30, width: 48),
            ]
        )
    }

    @Test(arguments: [(2560, 1440, 1024), (1000, 3000, 256), (264, 256, 256), (104, 64, 256)])
    func endsAtTheTargetExactly(width: Int, height: Int, native: Int) throws {
        let target = Extent(height: height, width: width)
        let phases = try Ladder(target: target, nativeSide: native).phases(
            target: target,
            vaeFactor: 8
        )
        #expect(phases.last?.latent == Extent(height: height / 8, width: width / 8))
        #expect(phases.first?.scale == 1)
        #expect((phases.first?.latent.longSide ?? 0) <= native / 8)
        for (a, b) in Swift.zip(phases, phases.dropFirst()) {
            #expect(a.latent.height <= b.latent.height && a.latent.width <= b.latent.width)
        }
    }

    @Test(arguments: [[], [2], [1, 1], [1, 3, 2], [1, .nan], [1, 1000]])
    func refusesLaddersThatDoNotRise(scales: [Double]) {
        #expect(throws: InputError.self) { try Ladder(scales: scales) }
    }

    @Test func refusesShapesThatVanish() throws {
        let target = Extent(height: 8, width: 4096)
        let ladder = try Ladder(scales: [1, 16])
        #expect(throws: InputError.self) { try ladder.phases(target: target, vaeFactor: 8) }
    }

    /// Targets and native sides of every kind: squares, odd aspect ratios, panoramas, short sides below native, in both
    /// orientations.
    static let targets: [(target: Extent, native: Int)] = {
        var random = Mutator(seed: 11)
        let sides = [
            (2560, 1440), (3840, 2160), (10_000, 3000), (8192, 256), (16_384, 512), (2048, 128),
            (65_536, 65_536), (65_536, 8), (8, 8), (256, 256), (264, 256), (4096, 4096),
        ]
        let more = (0..<40).map { _ in (8 + 8 * random.below(1500), 8 + 8 * random.below(1500)) }
        return (sides + more).flatMap { width, height in
            [128, 256, 512, 1024].flatMap { native in
                [
                    (Extent(height: height, width: width), native),
                    (Extent(height: width, width: height), native),
                ]
            }
        }
    }()

    /// For any shape, the ladder leads from a size that the model can draw to exactly the target, never by more than a
    /// doubling, and with sub-lattices no larger than phase 1.
    @Test func everyShapeHasALadder() throws {
        for (target, native) in Self.targets {
            let every = Ladder(target: target, nativeSide: native)
            let cheapest = Ladder(cheapestTo: target, nativeSide: native) { Int($0 * $0 * 100) }
            for ladder in [every, cheapest] {
                let what: Comment = "\(target) of \(native): \(ladder.scales)"
                let phases = try ladder.phases(target: target, vaeFactor: 8)
                let (first, last) = (try #require(phases.first), try #require(phases.last))
                #expect(last.latent.height * 8 == target.height, what)
                #expect(last.latent.width * 8 == target.width, what)
                #expect(first.scale == 1, what)
                let short = min(target.shortSide, native / Ladder.maxAspectRatio)
                #expect(first.latent.shortSide >= short / 8, what)
                if target.longSide <= Ladder.maxAspectRatio * target.shortSide {
                    #expect(first.latent.longSide <= max(1, native / 8), what)
                }
                for (a, b) in Swift.zip(phases, phases.dropFirst()) {
                    #expect(a.scale < b.scale && b.scale <= 2 * a.scale, what)
                    #expect(b == last || b.scale == b.scale.rounded(), what)
                }
                for phase in phases {
                    let lattices = LatticeGrid(
                        latent: phase.latent,
                        dilation: phase.dilation,
                        border: .inside
                    )
                    let most = lattices.extent(0)
                    #expect(most.height <= first.latent.height + 1, what)
                    #expect(most.width <= first.latent.width + 1, what)
                    #expect(lattices.extent(lattices.count - 1).area > 0, what)
                }
            }
        }
    }

    @Test func theCheapestCostsLeastOfAllThatAreAllowed() throws {
        var random = Mutator(seed: 3)
        for ratio in [1, 1.25, 2, 2.5, 3, 4, 4.5, 5.875, 7, 8, 8.5] {
            let side = Int(ratio * 256)
            let target = Extent(height: side, width: side)
            let rungs = Ladder(target: target, nativeSide: 256).scales
            for _ in 0..<10 {
                let costs = rungs.map { _ in 1 + random.below(1000) }
                func cost(_ scale: Double) -> Int {
                    rungs.firstIndex(of: scale).map { costs[$0] } ?? 0
                }
                func total(_ scales: [Double]) -> Int {
                    scales.dropFirst().reduce(0) { $0 + cost($1) }
                }
                let inner = Array(rungs.dropFirst().dropLast())
                let all = (0..<(1 << inner.count)).map { chosen in
                    let some = inner.indices.filter { chosen >> $0 & 1 == 1 }.map { inner[$0] }
                    return [1] + some + (ratio > 1 ? [ratio] : [])
                }
                let allowed = all.filter { scales in
                    Swift.zip(scales, scales.dropFirst()).allSatisfy { $1 <= 2 * $0 }
                }
                let best = allowed.map(total).min()
                let found = Ladder(cheapestTo: target, nativeSide: 256, cost: cost).scales
                #expect(allowed.contains(found), "\(found)")
                #expect(total(found) == best, "\(found)")
            }
        }
    }
}
