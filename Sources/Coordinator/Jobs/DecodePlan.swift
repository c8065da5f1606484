/// How the final latent is cut for VAE decoding: whole where that fits, else into rows of
/// overlapping tiles whose overlaps are cross-faded.
package struct DecodePlan: Equatable, Sendable {
    /// One rectangle of the latent to decode.
    package struct Tile: Equatable, Sendable {
        package let latentRows: Range<Int>
        package let latentColumns: Range<Int>
    }

    package let latent: Extent
    /// Pixels per latent pixel along a side.
    package let factor: Int
    /// Latent rows and columns of the tiles.
    package let rows: [Range<Int>]
    package let columns: [Range<Int>]

    /// Latent area up to which the picture is decoded whole: 1024×1024 pixels at factor 8.
    package static let wholeArea = 128 * 128
    /// Side of a tile and overlap of neighbouring tiles, in latent pixels.
    package static let side = 96
    package static let overlap = 32

    package init(latent: Extent, factor: Int) {
        self.latent = latent
        self.factor = factor
        let whole = latent.area <= Self.wholeArea
        rows = whole ? [0..<latent.height] : Self.spans(latent.height)
        columns = whole ? [0..<latent.width] : Self.spans(latent.width)
    }

    /// All tiles, row by row.
    package var tiles: [Tile] { rows.flatMap(tiles(in:)) }

    /// The tiles of one row.
    package func tiles(in row: Range<Int>) -> [Tile] {
        columns.map { Tile(latentRows: row, latentColumns: $0) }
    }

    /// Spans of `side`, evenly spread, each pair of neighbours sharing at least `overlap`.
    private static func spans(_ length: Int) -> [Range<Int>] {
        guard length > side else { return [0..<length] }
        let step = side - overlap
        let count = (length - side + step - 1) / step + 1
        return (0..<count).map { i in
            let start = (length - side) * i / (count - 1)
            return start..<(start + side)
        }
    }
}
