import Engine
import Sampling
import TestSupport
import Testing

@Suite struct FusionTests {
    private func noise(_ extent: Extent, _ random: inout Mutator) -> Tensor {
        let count = extent.area * 2
        let values = (0..<count).map { _ in Float(random.below(2000)) / 1000 - 1 }
        return Tensor(values, shape: [1, extent.height, extent.width, 2])
    }

    /// The weighted mean equals a direct sum over all pixels of all windows.
    @Test(arguments: WindowWeight.allCases, [WindowStride.every(8), .every(5), .window])
    func averagesAreWeightedMeans(weight: WindowWeight, stride: WindowStride) throws {
        let latent = Extent(height: 19, width: 37)
        var random = Mutator(seed: 5)
        for border in Border.allCases {
            let grid = WindowGrid(latent: latent, window: 16, stride: stride, border: border)
            let windows = try grid.windows { range throws(InputError) in
                range.lowerBound + random.below(range.count)
            }
            let predictions = windows.map { _ in noise(grid.window, &random) }
            var average = WindowAverage(latent: latent, channels: 2, weight: weight)
            for (window, prediction) in Swift.zip(windows, predictions) {
                average.add(prediction, at: window)
            }
            let mean = average.mean().values
            for y in 0..<latent.height {
                for x in 0..<latent.width {
                    var (sum, total) = (0.0, 0.0)
                    for (window, prediction) in Swift.zip(windows, predictions) {
                        let kept = window.kept(in: latent)
                        guard kept.rows.contains(y), kept.columns.contains(x) else { continue }
                        let (row, column) = (y - window.top, x - window.left)
                        let share = expected(weight, row, 16) * expected(weight, column, 16)
                        let place = (row * window.width + column) * 2 + 1
                        sum += share * Double(prediction.values[place])
                        total += share
                    }
                    let found = Double(mean[(y * latent.width + x) * 2 + 1])
                    #expect(abs(found - sum / total) < 1e-5, "\(y), \(x)")
                }
            }
        }
    }

    /// A Gaussian by its definition; e to the power of x by its series.
    private func expected(_ weight: WindowWeight, _ i: Int, _ length: Int) -> Double {
        guard weight == .gaussian else { return 1 }
        let r = (Double(i) + 0.5 - Double(length) / 2) / (Double(length) / 6)
        var (term, sum) = (1.0, 1.0)
        for n in 1...60 {
            term *= r * r / 2 / Double(n)
            sum += term
        }
        return 1 / sum
    }

    /// Where windows agree, the weights do not matter.
    @Test func agreementIsKept() throws {
        let latent = Extent(height: 40, width: 24)
        let grid = WindowGrid(latent: latent, window: 16, stride: .every(8), border: .inside)
        let windows = try grid.windows { range throws(InputError) in range.upperBound }
        var average = WindowAverage(latent: latent, channels: 1, weight: .gaussian)
        for window in windows {
            average.add(
                Tensor([Float](repeating: 0.75, count: 256), shape: [1, 16, 16, 1]),
                at: window
            )
        }
        #expect(average.mean().values.allSatisfy { abs($0 - 0.75) < 1e-6 })
    }
}
