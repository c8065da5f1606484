import Engine

/// How a latent is divided for decoding, or a picture for encoding: not at all where it is small enough, else
/// into tiles that are computed as parts of the whole.
package struct TilePlan: Equatable, Sendable {
    /// One tile: its rows and columns of the latent.
    package typealias Tile = Region

    package let latent: Extent
    /// Pixels per latent pixel along a side.
    package let factor: Int
    package let network: TiledNetwork
    /// Latent rows and columns of the tiles.
    package let rows: [Range<Int>]
    package let columns: [Range<Int>]

    /// Latent area up to which the picture is evaluated in one piece: 1024×1024 pixels at factor 8.
    package static let wholeArea = 128 * 128
    /// Longest side of a tile, in latent pixels.
    package static let side = 96

    /// - Parameters:
    ///   - latent: of the picture
    ///   - factor: pixels per latent pixel along a side
    ///   - network: the half that decodes or encodes
    ///   - wholeArea: larger pictures are evaluated in tiles
    ///   - side: longest side of a tile
    package init(
        latent: Extent,
        factor: Int,
        network: TiledNetwork,
        wholeArea: Int = wholeArea,
        side: Int = side
    ) {
        (self.latent, self.factor, self.network) = (latent, factor, network)
        let isWhole = latent.area <= wholeArea
        rows = Self.spans(latent.height, of: isWhole ? latent.height : side)
        columns = Self.spans(latent.width, of: isWhole ? latent.width : side)
    }

    /// Whether there is only one tile.
    package var isWhole: Bool { rows.count * columns.count == 1 }

    /// All tiles, row by row.
    package var tiles: [Tile] { rows.flatMap(tiles(in:)) }

    /// The tiles of one row.
    package func tiles(in row: Range<Int>) -> [Tile] {
        columns.map { Region(rows: row, columns: $0) }
    }

    /// A tile's margins: `halo` latent pixels, fewer at the edges of the picture.
    package func margins(of tile: Tile, halo: Int) -> PicturePart.Margins {
        PicturePart.Margins(
            top: min(halo, tile.rows.lowerBound),
            left: min(halo, tile.columns.lowerBound),
            bottom: min(halo, latent.height - tile.rows.upperBound),
            right: min(halo, latent.width - tile.columns.upperBound)
        )
    }

    /// A tile with its margins.
    package func frame(of tile: Tile, halo: Int) -> Tile {
        let margins = margins(of: tile, halo: halo)
        return Region(
            rows: tile.rows.lowerBound - margins.top..<tile.rows.upperBound + margins.bottom,
            columns: tile.columns.lowerBound - margins.left..<tile.columns.upperBound
                + margins.right
        )
    }

    /// As few spans as `longest` allows, all of the same length but the last: most tiles have the same shape.
    private static func spans(_ length: Int, of longest: Int) -> [Range<Int>] {
        let count = (length + longest - 1) / longest
        let each = (length + count - 1) / count
        return stride(from: 0, to: length, by: each).map { $0..<min(length, $0 + each) }
    }
}

/// The approximate cost of a plan in the best case: the number of passes depends on the picture.
extension TilePlan {
    /// How often all tiles are evaluated up to the attention: once per norm where these are coarse, else
    /// twice for the norms' statistics and once for the tokens.
    private var passesToAttention: Int {
        guard !isWhole, let attention = network.attention else { return 0 }
        return network.areCoarse(norms: attention) ? attention + 1 : 3
    }

    /// How often they are evaluated to the end: twice for the statistics of the remaining norms, and once for the result.
    private var passesToEnd: Int { isWhole || network.norms == 0 ? 1 : 3 }

    /// How often the small copy is evaluated to estimate norms: before each of the two passes, and after them.
    private var copies: Int {
        guard !isWhole, network.norms > 0 else { return 0 }
        return 3 + (network.attention.map { network.areCoarse(norms: $0) ? 0 : 3 } ?? 0)
    }

    /// How often all tiles are evaluated; passes over coarse norms cost next to nothing.
    package var passes: Int {
        let isCoarse = network.attention.map(network.areCoarse) ?? false
        return passesToEnd + (isCoarse ? 0 : passesToAttention)
    }

    /// Further passes, over coarse norms only.
    package var cheapPasses: Int {
        network.attention.map(network.areCoarse) == true ? passesToAttention : 0
    }

    /// Numbers of latents, pixels and tokens on the wire.
    package func numbersMoved(latentChannels: Int) -> Int {
        let pixels = 3 * factor * factor
        let (input, output) =
            network.half == .decoder ? (latentChannels, pixels) : (pixels, latentChannels)
        guard !isWhole else { return latent.area * (input + output) }
        func inputs(halo: Int) -> Int {
            tiles.reduce(0) { $0 + frame(of: $1, halo: halo).area } * input
        }
        let tokens =
            network.attention == nil
            ? 0 : KeyLattice(latent: latent, width: network.width).count(in: latent) * network.width
        let small = latent.thinnedArea(of: network.half, toArea: TiledEvaluation.copyArea) * input
        return passesToEnd * inputs(halo: network.halo) + latent.area * output
            + passesToAttention * inputs(halo: network.attentionHalo) + tokens + copies * small
    }
}

/// The tokens of a picture that its attention attends to: all of them, or for a larger picture those of a
/// regular lattice, the same for every tile.
package struct KeyLattice: Equatable, Sendable {
    /// Stride in rows and columns.
    package let stride: Int
    /// The first row and column.
    package let first: Int

    /// Maximum tokens, and their maximum bytes: every worker receives and keeps them.
    static let maxTokens = 256 * 256
    static let maxBytes = 128 << 20
    /// Bytes of one message.
    static let maxBytesAtOnce = 32 << 20

    /// - Parameters:
    ///   - latent: of the picture
    ///   - width: channels of a token
    package init(latent: Extent, width: Int) {
        let limit = min(Self.maxTokens, Self.maxBytes / (4 * max(1, width)))
        var stride = 1
        func count(_ length: Int) -> Int { (length + stride - 1) / stride }
        while count(latent.height) * count(latent.width) > limit { stride += 1 }
        (self.stride, first) = (stride, stride / 2)
    }

    /// Number of tokens in a picture.
    package func count(in latent: Extent) -> Int {
        ((latent.height - first + stride - 1) / stride)
            * ((latent.width - first + stride - 1) / stride)
    }

    /// Those in a tile; nil if there are none.
    package func tokens(of tile: Region) -> PicturePart.Lattice? {
        func next(_ start: Int) -> Int { ((first - start) % stride + stride) % stride }
        let (row, column) = (next(tile.rows.lowerBound), next(tile.columns.lowerBound))
        guard row < tile.rows.count, column < tile.columns.count else { return nil }
        return PicturePart.Lattice(stride: stride, firstRow: row, firstColumn: column)
    }

    /// Tokens of tiles, `[1, rows, columns, width]`, as they are sent: in the order of the tiles,
    /// `[1, tokens, width]` each.
    static func messages(_ parts: [Tensor]) -> [Tensor] {
        guard let width = parts.first?.shape[3] else { return [] }
        let all = parts.reduce(0) { $0 + $1.count / width }
        let each = max(1, maxBytesAtOnce / (4 * width))
        let flat = Tensor(chaining: parts, shape: [1, all, width])
        return Swift.stride(from: 0, to: all, by: each).map { from in
            let count = min(each, all - from)
            return Tensor(shape: [1, count, width]) { out in
                flat.withFloats { x in
                    let part = UnsafeBufferPointer(
                        rebasing: x[from * width..<(from + count) * width]
                    )
                    _ = out.update(fromContentsOf: part)
                }
            }
        }
    }
}
