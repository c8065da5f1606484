import Coordinator
import Engine
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

    @Test func refusesShapesThatVanish() {
        let target = Extent(height: 8, width: 4096)
        #expect(throws: InputError.self) {
            try Ladder(target: target, nativeSide: 256).phases(target: target, vaeFactor: 8)
        }
    }
}
