import Engine
import Sampling
import TestSupport
import Testing

/// Colours that drift from window to window.
@Suite struct WindowMeansTests {
    private let latent = Tensor(
        (0..<40 * 56 * 4).map { Float(($0 * 7919) % 4093) / 2048 - 1 },
        shape: [1, 40, 56, 4]
    )

    private func grid(_ stride: WindowStride) -> WindowGrid {
        WindowGrid(
            latent: Extent(height: 40, width: 56),
            window: 16,
            stride: stride,
            border: .inside
        )
    }

    /// The largest difference between two tensors.
    private func distance(_ a: Tensor, _ b: Tensor) -> Float {
        (a - b).withFloats { $0.map(abs).max() ?? 0 }
    }

    @Test(arguments: [WindowStride.every(12), .every(8), .window], WindowWeight.allCases)
    func whatDriftedGoesBack(stride: WindowStride, weight: WindowWeight) {
        let grid = grid(stride)
        let means = WindowMeans(of: latent, in: grid, weight)
        #expect(means.values.shape == [1, 1, grid.count, 4])
        // Each window of a refined latent is off by its own amount.
        var random = SplitMix(3)
        var drift = WindowAverage(latent: grid.latent, channels: 4, weight: weight)
        for window in grid.unshifted {
            let offset = (0..<4).map { _ in Float(random.next() % 1000) / 1000 - 0.5 }
            let pixels = (0..<window.height * window.width).flatMap { _ in offset }
            drift.add(Tensor(pixels, shape: [1, window.height, window.width, 4]), at: window)
        }
        let drifted = latent + drift.mean()
        let restored = means.restored(in: drifted, grid, weight)
        let (before, after) = (distance(drifted, latent), distance(restored, latent))
        #expect(before > 0.3)
        // The more windows share, the less clear it is which of them has drifted.
        let share: Float = stride == .window ? 1e-5 : weight == .gaussian ? 0.2 : 0.5
        #expect(after < share * before, "\(before) \(after)")
        let left = WindowMeans(of: restored, in: grid, weight).values
        let lost = WindowMeans(of: drifted, in: grid, weight).values
        #expect(distance(left, means.values) < share * distance(lost, means.values))
    }

    @Test func whatHasNotDriftedStays() {
        let grid = grid(.every(12))
        let means = WindowMeans(of: latent, in: grid, .gaussian)
        #expect(distance(means.restored(in: latent, grid, .gaussian), latent) < 1e-6)
    }
}
