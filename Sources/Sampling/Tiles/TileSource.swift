import Engine

/// The source of tiles: a latent, or a picture to encode. Positions are in latent pixels.
package protocol TileSource {
    /// Some of its rows and columns, `[1, height, width, channels]`; of a picture multiplied by the factor.
    ///
    /// - Throws: `InputError` or `OutputError` where it is on disk and cannot be read
    func cut(_ region: Region) throws -> Tensor
}

/// A picture at the size at which it is encoded.
package struct PictureTiles: TileSource {
    private let latent: Extent
    private let factor: Int
    private let part: (Region) throws -> Tensor

    /// - Parameters:
    ///   - latent: of the picture
    ///   - factor: pixels per latent pixel along a side
    ///   - part: gives some rows and columns of pixels
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
