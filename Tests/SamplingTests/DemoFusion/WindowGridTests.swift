import Engine
import Sampling
import TestSupport
import Testing

@Suite struct WindowGridTests {
    /// Windows, strides and latents of many shapes, including short sides.
    static let grids: [WindowGrid] = Border.allCases.flatMap { border in
        let strides: [(Int, WindowStride)] = [
            (16, .every(8)), (16, .every(4)), (16, .every(16)), (32, .every(16)), (8, .every(5)),
            (16, .window), (8, .window), (1, .window), (2, .window), (3, .window),
        ]
        return strides.flatMap { window, stride in
            [(16, 16), (31, 48), (9, 70), (5, 5), (64, 17), (33, 32)].map { height, width in
                WindowGrid(
                    latent: Extent(height: height, width: width),
                    window: window,
                    stride: stride,
                    border: border
                )
            }
        }
    }

    @Test(arguments: grids) func everyPixelLiesInAWindow(grid: WindowGrid) throws {
        var random = Mutator(seed: 7)
        for _ in 0..<20 {
            let windows = try grid.windows { range throws(InputError) in
                range.lowerBound + random.below(range.count)
            }
            #expect(windows.count == grid.count)
            var covered = Array(repeating: 0, count: grid.latent.area)
            for window in windows {
                let inside =
                    window.top >= 0 && window.left >= 0
                    && window.top + window.height <= grid.latent.height
                    && window.left + window.width <= grid.latent.width
                #expect(inside || grid.border == .zeros, "\(window) leaves \(grid.latent)")
                #expect((window.height, window.width) == (grid.window.height, grid.window.width))
                let kept = window.kept(in: grid.latent)
                #expect(!kept.rows.isEmpty && !kept.columns.isEmpty)
                #expect(kept.rows.lowerBound >= window.top)
                #expect(kept.rows.upperBound <= window.top + window.height)
                #expect(kept.columns.lowerBound >= window.left)
                #expect(kept.columns.upperBound <= window.left + window.width)
                for y in kept.rows {
                    for x in kept.columns { covered[y * grid.latent.width + x] += 1 }
                }
            }
            #expect(covered.allSatisfy { $0 > 0 })
        }
    }

    @Test(arguments: grids) func drawsAsManyIntegersAsItSays(grid: WindowGrid) throws {
        var draws = 0
        _ = try grid.windows { range throws(InputError) in
            draws += 1
            #expect(grid.drawSpan % range.count == 0, "\(range)")
            return range.lowerBound
        }
        #expect(draws == grid.drawCount)
    }

    @Test func windowsShrinkToAShortSide() throws {
        let grid = WindowGrid(
            latent: Extent(height: 6, width: 40),
            window: 16,
            stride: .every(8),
            border: .inside
        )
        let windows = try grid.windows { _ throws(InputError) in 0 }
        #expect(windows.map(\.left) == [0, 8, 16, 24])
        #expect(windows.allSatisfy { $0.top == 0 && $0.height == 6 && $0.width == 16 })
    }

    /// With windows side by side, every pixel is predicted once, wherever the cut is; and the cut moves far enough that
    /// no place is always at an edge.
    @Test(arguments: [2, 3, 8, 16, 32]) func windowsSideBySideShareNothing(side: Int) throws {
        for length in 1...(5 * side) {
            let grid = WindowGrid(
                latent: Extent(height: 1, width: length),
                window: side,
                stride: .window,
                border: .inside
            )
            var range: ClosedRange<Int>?
            _ = try grid.windows { cuts throws(InputError) in
                range = cuts
                return cuts.lowerBound
            }
            guard let range else {
                #expect(length <= side && grid.count == 1 && grid.drawCount == 0)
                continue
            }
            #expect(length > side && grid.drawCount == 1)
            #expect(range.count >= max(1, side / 2 - 1), "\(length): \(range)")
            var edges = Array(repeating: 0, count: length)
            for cut in range {
                let windows = try grid.windows { _ throws(InputError) in cut }
                #expect(windows.count == grid.count)
                var covered = Array(repeating: 0, count: length)
                for window in windows {
                    #expect((0...(length - side)).contains(window.left))
                    let kept = window.kept(in: grid.latent).columns
                    for x in kept { covered[x] += 1 }
                    edges[kept.lowerBound] += 1
                }
                #expect(covered.allSatisfy { $0 == 1 }, "\(length) cut at \(cut)")
            }
            #expect(edges.dropFirst().allSatisfy { $0 <= 1 }, "\(edges)")
        }
    }
}
