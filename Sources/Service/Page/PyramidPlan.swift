import Sampling

/// A picture at full size, half of it, a quarter, and so on, each cut into tiles. Pure.
package struct PyramidPlan: Equatable, Sendable {
    /// Pixels of a tile's side; those at the right and lower edge are smaller.
    package static let side = 512

    /// From the smallest, which is a single tile, to the picture itself.
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

    /// Whether there is such a tile.
    package func has(level: Int, row: Int, column: Int) -> Bool {
        guard levels.indices.contains(level) else { return false }
        let count = tiles(ofLevel: level)
        return (0..<count.height).contains(row) && (0..<count.width).contains(column)
    }

    /// The file of a tile, below the pyramid's folder.
    package static func name(level: Int, row: Int, column: Int) -> String {
        "\(level)/\(row)-\(column).jpeg"
    }
}
