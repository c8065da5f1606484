import Sampling

/// An image pyramid: the picture at full size, half, a quarter, and so on, each level cut into tiles. Pure.
package struct PyramidPlan: Equatable, Sendable {
    /// Side of a tile in pixels; tiles at the right and lower edges may be smaller.
    package static let side = 512

    /// Sizes of the levels, from the smallest, which is a single tile, to the picture itself.
    package let levels: [Extent]

    package init(width: Int, height: Int) {
        var levels = [Extent(height: height, width: width)]
        while let last = levels.last, last.longSide > Self.side {
            levels.append(Extent(height: (last.height + 1) / 2, width: (last.width + 1) / 2))
        }
        self.levels = levels.reversed()
    }

    /// - Returns: rows and columns of tiles
    package func tiles(ofLevel level: Int) -> Extent {
        Extent(
            height: (levels[level].height + Self.side - 1) / Self.side,
            width: (levels[level].width + Self.side - 1) / Self.side
        )
    }

    /// Whether the tile exists.
    package func has(level: Int, row: Int, column: Int) -> Bool {
        guard levels.indices.contains(level) else { return false }
        let count = tiles(ofLevel: level)
        return (0..<count.height).contains(row) && (0..<count.width).contains(column)
    }

    /// File name of a tile, relative to the pyramid's folder.
    package static func name(level: Int, row: Int, column: Int) -> String {
        "\(level)/\(row)-\(column).jpeg"
    }
}
