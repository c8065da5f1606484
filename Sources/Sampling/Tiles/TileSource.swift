import Engine

/// A source of tiles: a latent, or a picture to encode. Positions are in latent pixels.
package protocol TileSource {
    /// Cuts out a region, `[1, height, width, channels]`; for a picture, its position and size are multiplied by the
    /// factor.
    ///
    /// - Throws: `InputError` or `OutputError` if it is on disk and cannot be read
    func cut(_ region: Region) throws -> Tensor
}

/// A picture at the size at which it is encoded.
package struct PictureTiles: TileSource {
    private let latent: Extent
    private let factor: Int
    private let part: (Region) throws -> Tensor

    /// - Parameters:
    ///   - latent: size of the picture's latent
    ///   - factor: pixels per latent pixel along a side
    ///   - part: reads a region of pixels
    package init(latent: Extent, factor: Int, part: @escaping (Region) throws -> Tensor) {
        (self.latent, self.factor, self.part) = (latent, factor, part)
    }

    package func cut(_ region: Region) throws -> Tensor {
        try part(
            Region(
                rows: factor * region.rows.lowerBound..<factor * region.rows.upperBound,
                columns: factor * region.columns.lowerBound..<factor * region.columns.upperBound
            )
        )
    }
}

extension Tensor: TileSource {
    package func cut(_ region: Region) -> Tensor {
        cropped(
            top: region.rows.lowerBound,
            left: region.columns.lowerBound,
            height: region.rows.count,
            width: region.columns.count
        )
    }
}
