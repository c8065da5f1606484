import Coordinator
import Engine
import TestSupport
import Testing

@Suite struct WindowGridTests {
    /// Window, stride and latent of many shapes, short sides included.
    static let grids: [WindowGrid] = Border.allCases.flatMap { border in
        [(16, 8), (16, 4), (16, 16), (32, 16), (8, 5)].flatMap { window, stride in
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
                for y in window.top..<(window.top + window.height) {
                    for x in window.left..<(window.left + window.width) {
                        let inside =
                            (0..<grid.latent.height).contains(y)
                            && (0..<grid.latent.width).contains(x)
                        if inside { covered[y * grid.latent.width + x] += 1 }
                        #expect(inside || grid.border == .zeros, "\(window) leaves \(grid.latent)")
                    }
                }
            }
            #expect(covered.allSatisfy { $0 > 0 })
        }
    }

    @Test(arguments: grids) func drawsAsManyIntegersAsItSays(grid: WindowGrid) throws {
        var draws = 0
        _ = try grid.windows { range throws(InputError) in
            draws += 1
            #expect(-grid.reach <= range.lowerBound && range.upperBound <= grid.reach)
            return range.lowerBound
        }
        #expect(draws == grid.drawCount)
    }

    @Test func windowsShrinkToAShortSide() throws {
        let grid = WindowGrid(
            latent: Extent(height: 6, width: 40),
            window: 16,
            stride: 8,
            border: .inside
        )
        let windows = try grid.windows { _ throws(InputError) in 0 }
        #expect(windows.map(\.left) == [0, 8, 16, 24])
        #expect(windows.allSatisfy { $0.top == 0 && $0.height == 6 && $0.width == 16 })
    }
}
