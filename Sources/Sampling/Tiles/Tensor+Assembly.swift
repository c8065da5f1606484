import Engine

extension Tensor {
    /// Concatenates pictures `[1, height, …, 3]` of equal height horizontally.
    package init(sideBySide tiles: [Tensor]) {
        let (height, channels) = (tiles[0].shape[1], tiles[0].shape[3])
        let width = tiles.reduce(0) { $0 + $1.shape[2] }
        precondition(tiles.allSatisfy { $0.shape[1] == height && $0.shape[3] == channels })
        self.init(shape: [1, height, width, channels]) { out in
            var left = 0
            for tile in tiles {
                let line = tile.shape[2] * channels
                tile.withFloats { x in
                    for row in 0..<height {
                        let at = row * width * channels + left
                        let from = UnsafeBufferPointer(rebasing: x[row * line..<(row + 1) * line])
                        let to = UnsafeMutableBufferPointer(rebasing: out[at..<at + line])
                        _ = to.update(fromContentsOf: from)
                    }
                }
                left += line
            }
        }
    }

    /// Concatenates pictures `[1, …, width, channels]` of equal width vertically.
    package init(stacked rows: [Tensor]) {
        let (width, channels) = (rows[0].shape[2], rows[0].shape[3])
        precondition(rows.allSatisfy { $0.shape[2] == width && $0.shape[3] == channels })
        let height = rows.reduce(0) { $0 + $1.shape[1] }
        self.init(chaining: rows, shape: [1, height, width, channels])
    }
}
