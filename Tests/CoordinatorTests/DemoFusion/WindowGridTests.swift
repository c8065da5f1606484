import Coordinator
import Engine
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
        var random = SplitMix(state: 7)
        for _ in 0..<20 {
            let windows = try grid.windows { range throws(InputError) in random.draw(in: range) }
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

/// A small generator for tests.
struct SplitMix {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }

    mutating func draw(in range: ClosedRange<Int>) -> Int {
        range.lowerBound + Int(next() % UInt64(range.count))
    }

    mutating func tensor(_ shape: [Int]) -> Tensor {
        Tensor(
            (0..<shape.reduce(1, *)).map { _ in Float(Int64(bitPattern: next()) >> 40) / 4_194_304
            },
            shape: shape
        )
    }
}
