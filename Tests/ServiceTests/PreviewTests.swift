import Coordinator
import Engine
import Sampling
import Service
import Testing

/// Rough previews of renders in progress, and what is drawn over them.
@Suite struct PreviewTests {
    private func latent(_ rows: Int, _ columns: Int, _ value: (Int, Int, Int) -> Float) -> Tensor {
        Tensor(shape: [1, rows, columns, 4]) { out in
            for y in 0..<rows {
                for x in 0..<columns {
                    for c in 0..<4 { out[(y * columns + x) * 4 + c] = value(y, x, c) }
                }
            }
        }
    }

    @Test func aLinearMapIsFound() throws {
        let weights: [[Double]] = [
            [0.3, 0, 0.1, -0.2, 0.5], [0, 0.2, 0, 0.1, 0.4], [-0.1, 0, 0.25, 0, 0.6],
        ]
        // Values without a pattern.
        func value(_ i: Int, _ c: Int) -> Float {
            let number: Int = (i * 7919 + c * 104_729) % 1000
            return Float(number) / 1000 - 0.5
        }
        let latents: [[Float]] = (0..<200).map { i in (0..<4).map { value(i, $0) } }
        let colours: [[Float]] = latents.map { z in
            weights.map { row -> Float in
                var sum: Double = row[4]
                for c in 0..<4 { sum += row[c] * Double(z[c]) }
                return Float(sum)
            }
        }
        let fitted = try #require(LatentColours(fitting: latents, to: colours))
        for (found, expected) in zip(fitted.weights, weights) {
            for c in 0..<5 { #expect(abs(found[c] - expected[c]) < 0.005) }
        }
        // Too few samples for a fit.
        #expect(LatentColours(fitting: Array(latents[..<10]), to: Array(colours[..<10])) == nil)
    }

    @Test func coloursAreCutOff() {
        let map = LatentColours(weights: [
            [1, 0, 0, 0, 0.5], [0, 1, 0, 0, 0.5], [0, 0, 1, 0, 0.5],
        ])
        let bytes = map.bytes(latent(1, 2) { _, x, c in x == 0 ? [0, 9, -9, 1][c] : .nan })
        #expect(bytes == [127, 255, 0, 0, 0, 0])
    }

    /// Light stays light and dark stays dark, with the sums that the sources state.
    @Test func publishedMapsAreRecognisedByTheVAE() throws {
        let first = try #require(LatentColours.published(scale: 0.18215, channels: 4))
        #expect(first.bytes(latent(1, 1) { _, _, _ in 0 }) == [127, 127, 127])
        let bright = first.bytes(latent(1, 1) { _, _, c in [2, 1, 0, -1][c] })
        #expect(bright == [250, 251, 255])
        let xl = try #require(LatentColours.published(scale: 0.13025, channels: 4))
        #expect(xl.bytes(latent(1, 1) { _, _, c in [1, 0, 0, -1][c] }) == [255, 250, 225])
        #expect(LatentColours.published(scale: 1, channels: 4) == nil)
        #expect(LatentColours.published(scale: 0.13025, channels: 16) == nil)
    }

    @Test func theFirstGuessShowsContrast() {
        let z = latent(8, 8) { y, x, c in Float(c + 1) * (Float((y * 8 + x) % 9) - 4) }
        let bytes = LatentColours.guess(z).bytes(z)
        #expect(bytes.count == 8 * 8 * 3)
        let (low, high) = (bytes.min() ?? 0, bytes.max() ?? 0)
        #expect(low < 64 && high > 192 && low > 0 && high < 255, "\(low)…\(high)")
        // A latent without any contrast becomes grey, not NaN.
        let flat = latent(4, 4) { _, _, _ in 3 }
        #expect(Set(LatentColours.guess(flat).bytes(flat)) == [127])
    }

    @Test func theEstimateIsSampled() {
        let x = latent(100, 30) { y, x, c in Float(1000 * y + 10 * x + c) }
        let estimate = CleanEstimate(latent: x, prediction: x, weights: (latent: 3, prediction: -1))
        let small = estimate.sampled(longest: 25)
        #expect(small.shape == [1, 25, 8, 4])
        // Sampled in the middle of every four rows and columns; the last column comes from the latent's edge.
        small.withFloats { z in
            #expect(z[0] == 2 * 2020)
            #expect(z[(24 * 8 + 7) * 4 + 3] == 2 * (98_000 + 290 + 3))
        }
        #expect(x.sampled(longest: 100).shape == x.shape)
    }

    @Test func viewsAreToldWithTheirWorkers() throws {
        let places = ViewPlaces(
            latent: Extent(height: 16, width: 24),
            places: [
                .window(top: 0, left: 8, height: 16, width: 16),
                .lattice(row: 1, column: 0, rowStride: 2, columnStride: 3), .whole,
            ]
        )
        let views = PlacedViews(places, [0: ViewAssignment(worker: 2, isDone: true)])
        #expect(
            views.json.object?["windows"]
                == .array([.array([0, 8, 16, 16, 2, 2].map { .number($0) })])
        )
        #expect(
            views.json.object?["lattices"]
                == .array([.array([1, 0, 2, 3, -1, 0].map { .number($0) })])
        )
        let many = ViewPlaces(
            latent: Extent(height: 9, width: 9),
            places: Array(repeating: .window(top: 0, left: 0, height: 9, width: 9), count: 5000)
        )
        guard case .array(let told)? = PlacedViews(many).json.object?["windows"] else {
            Issue.record("no list of windows")
            return
        }
        #expect(told.count == PlacedViews.limit)
    }
}
