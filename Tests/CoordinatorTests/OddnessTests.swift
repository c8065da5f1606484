import Coordinator
import Engine
import Testing

/// Answers that differ from what is expected.
@Suite struct OddnessTests {
    /// Views that are not windows: all views of a step are alike.
    @Test func amongManyAlike() {
        var samples = (0..<20).map { number in
            Oddness.Sample(
                mean: Double(number % 5) / 100,
                deviation: 1 + Double(number % 3) / 50
            )
        }
        #expect(!Oddness.odd(among: samples).contains(true))
        samples[4].mean = 3
        samples[9].deviation = 4
        let odd = Oddness.odd(among: samples)
        #expect(odd.indices.filter { odd[$0] } == [4, 9])
    }

    /// 8 × 8 windows, each overlapping those around it, of a picture that goes from dark to light.
    private func windows(slope: Double) -> [Oddness.Sample] {
        (0..<64).map { number in
            let (row, column) = (number / 8, number % 8)
            return Oddness.Sample(
                mean: slope * Double(row) + Double((row * 5 + column * 3) % 7) / 1000,
                deviation: 1 + Double((row * 3 + column) % 5) / 1000,
                place: Region(
                    rows: row * 64 - 8..<row * 64 + 120,
                    columns: column * 64..<column * 64 + 128
                )
            )
        }
    }

    /// The mean of every window is in the range of the whole picture: only its neighbours show that one is wrong.
    @Test func amongOverlappingNeighbours() {
        var samples = windows(slope: 1)
        #expect(!Oddness.odd(among: samples).contains(true))
        samples[27].mean += 2
        let odd = Oddness.odd(among: samples)
        #expect(odd[27])
        #expect(!odd[0] && !odd[63])
        let withoutPlaces = samples.map { Oddness.Sample(mean: $0.mean, deviation: $0.deviation) }
        #expect(!Oddness.odd(among: withoutPlaces).contains(true))
    }

    @Test func deviationsOfNeighbours() {
        var samples = windows(slope: 0)
        samples[40].deviation = 1.2
        #expect(Oddness.odd(among: samples)[40])
    }

    /// Side-by-side windows have no overlapping neighbours.
    @Test func windowsSideBySideAreComparedWithAll() {
        var samples = (0..<16).map { number in
            Oddness.Sample(
                mean: Double(number % 4) / 100,
                deviation: 1,
                place: Region(rows: number * 10..<number * 10 + 10, columns: 0..<10)
            )
        }
        #expect(!Oddness.odd(among: samples).contains(true))
        samples[3].mean = 1
        let odd = Oddness.odd(among: samples)
        #expect(odd.indices.filter { odd[$0] } == [3])
    }

    @Test func ofFewNothingIsSaid() {
        let samples = (0..<7).map { Oddness.Sample(mean: $0 == 3 ? 100 : 0, deviation: 1) }
        #expect(!Oddness.odd(among: samples).contains(true))
    }
}
