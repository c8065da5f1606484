import Coordinator
import Testing

/// The edge of a mask, where what was generated fades into the init image.
@Suite struct PasteTests {
    private let feather = Float(PasteSink.feather)

    /// Which pixels of a square are inside a disc.
    private func disc(side: Int, radius: Float) -> [Bool] {
        (0..<side * side).map { pixel in
            let (x, y) = (Float(pixel % side - side / 2), Float(pixel / side - side / 2))
            return x * x + y * y < radius * radius
        }
    }

    @Test func aStraightEdgeFadesEvenly() {
        let shares = PasteSink.shares(
            (0..<32).map { $0 >= 10 },
            width: 32,
            rows: 0..<1
        )
        #expect(shares.prefix(10).allSatisfy { $0 == 0 })
        for i in 10..<32 { #expect(shares[i] == min(1, Float(i - 9) / feather)) }
    }

    /// The fade is the same in every direction: within an eighth of the true distance to the nearest pixel that stays.
    @Test func aRoundEdgeFadesEvenly() {
        let side = 64
        let changes = disc(side: side, radius: 28)
        let shares = PasteSink.shares(changes, width: side, rows: 0..<side)
        let staying = changes.indices.filter { !changes[$0] }
        for pixel in changes.indices where changes[pixel] {
            let nearest = staying.map { other -> Float in
                let (x, y) = (
                    Float(pixel % side - other % side), Float(pixel / side - other / side)
                )
                return (x * x + y * y).squareRoot()
            }.min()
            let wanted = min(1, (nearest ?? feather) / feather)
            #expect(abs(shares[pixel] - wanted) <= wanted / 8, "\(pixel)")
        }
    }

    /// The result does not depend on how many rows are written at a time.
    @Test func rowsDoNotDependOnTheirNumber() {
        let (side, reach) = (64, PasteSink.feather)
        let changes = disc(side: side, radius: 27)
        let whole = PasteSink.shares(changes, width: side, rows: 0..<side)
        for first in stride(from: 0, to: side, by: 5) {
            let rows = first..<min(side, first + 5)
            let around = max(0, rows.lowerBound - reach)..<min(side, rows.upperBound + reach)
            let part = PasteSink.shares(
                Array(changes[around.lowerBound * side..<around.upperBound * side]),
                width: side,
                rows: rows.lowerBound - around.lowerBound..<rows.upperBound - around.lowerBound
            )
            #expect(part == Array(whole[rows.lowerBound * side..<rows.upperBound * side]))
        }
    }
}
