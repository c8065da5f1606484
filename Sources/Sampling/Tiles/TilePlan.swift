import Engine

/// How a latent is divided for decoding, or a picture for encoding: not at all if it is small enough, otherwise into
/// tiles whose results equal those of the whole.
package struct TilePlan: Equatable, Sendable {
    /// One tile: its rows and columns of the latent.
    package typealias Tile = Region

    package let latent: Extent
    /// Pixels per latent pixel along a side.
    package let factor: Int
    package let network: TiledNetwork
    /// Row and column ranges of the tiles, in latent pixels.
    package let rows: [Range<Int>]
    package let columns: [Range<Int>]

    /// Maximum latent area that is evaluated in one piece: 1024×1024 pixels at factor 8.
    package static let wholeArea = 128 * 128
    /// Longest side of a tile, in latent pixels.
    package static let side = 96

    /// - Parameters:
    ///   - latent: size of the picture's latent
    ///   - factor: pixels per latent pixel along a side
    ///   - network: the decoder or the encoder
    ///   - wholeArea: pictures with a larger latent area are evaluated in tiles
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

    /// A tile's index among all tiles.
    func index(of tile: Tile) -> Int {
        guard let row = rows.firstIndex(of: tile.rows),
            let column = columns.firstIndex(of: tile.columns)
        else { preconditionFailure("\(tile) is none of \(rows) × \(columns)") }
        return row * columns.count + column
    }

    /// A tile's margins: everything its result depends on, less at the edges of the picture.
    package func margins(of tile: Tile) -> PicturePart.Margins {
        let halo = network.halo
        return PicturePart.Margins(
            top: min(halo, tile.rows.lowerBound),
            left: min(halo, tile.columns.lowerBound),
            bottom: min(halo, latent.height - tile.rows.upperBound),
            right: min(halo, latent.width - tile.columns.upperBound)
        )
    }

    /// A tile with its margins.
    package func frame(of tile: Tile) -> Tile {
        let margins = margins(of: tile)
        return Region(
            rows: tile.rows.lowerBound - margins.top..<tile.rows.upperBound + margins.bottom,
            columns: tile.columns.lowerBound - margins.left..<tile.columns.upperBound
                + margins.right
        )
    }

    /// As few spans as `longest` allows, all of the same length except the last, so that most tiles have the same
    /// shape.
    private static func spans(_ length: Int, of longest: Int) -> [Range<Int>] {
        let count = (length + longest - 1) / longest
        let each = (length + count - 1) / count
        return stride(from: 0, to: length, by: each).map { $0..<min(length, $0 + each) }
    }
}

/// The cost of a plan.
extension TilePlan {
    /// Number of times all tiles are requested: once per norm, and once for the result.
    package var passes: Int { isWhole ? 1 : network.norms + 1 }

    /// The work of each pass, as a fraction of the total.
    package var passShares: [Double] {
        guard !isWhole else { return [1] }
        let before = (0...network.norms).map(network.shareOfWork(before:))
        return zip(before, [0] + before).map { $0 - $1 }
    }

    /// The work, relative to one evaluation of the whole picture: margins account for anything above 1.
    package var evaluations: Double {
        guard !isWhole, !network.layers.isEmpty else { return 1 }
        var (all, own) = (0.0, 0.0)
        for layer in network.layers {
            let (height, width) = extent(reach: Double(layer.reach) / layer.scale)
            all += layer.work * height * width
            own += layer.work * Double(latent.area)
        }
        return all / own
    }

    /// Maximum number of activations that workers keep for all tiles between two norms.
    package var numbersKept: Int {
        guard !isWhole else { return 0 }
        return network.layers.filter(\.hasNorm).map { layer in
            let (height, width) = extent(reach: Double(layer.reach) / layer.scale)
            return Int(layer.numbers * height * width)
        }.max() ?? 0
    }

    /// Rows and columns of all tiles together, with margins of `reach` latent pixels.
    private func extent(reach: Double) -> (height: Double, width: Double) {
        func sum(_ spans: [Range<Int>], of length: Int) -> Double {
            spans.reduce(0) {
                $0 + Double($1.count) + min(reach, Double($1.lowerBound))
                    + min(reach, Double(length - $1.upperBound))
            }
        }
        return (sum(rows, of: latent.height), sum(columns, of: latent.width))
    }

    /// Number of values (latents, pixels and tokens) on the wire, if each tile is sent once.
    package func numbersMoved(latentChannels: Int) -> Int {
        let pixels = 3 * factor * factor
        let (input, output) =
            network.half == .decoder ? (latentChannels, pixels) : (pixels, latentChannels)
        guard !isWhole else { return latent.area * (input + output) }
        let inputs = tiles.reduce(0) { $0 + frame(of: $1).area } * input
        let tokens =
            network.attention == nil
            ? 0 : KeyLattice(latent: latent, width: network.width).count(in: latent) * network.width
        return inputs + latent.area * output + tokens
    }
}

/// The tokens of a picture that its attention attends to: all of them, or, for a larger picture, those on a regular
/// lattice, which is the same for every tile.
package struct KeyLattice: Equatable, Sendable {
    /// Stride in rows and columns.
    package let stride: Int
    /// The first row and column.
    package let first: Int

    /// Limits on the number of tokens and their bytes, because every worker receives and keeps all of them.
    static let maxTokens = 256 * 256
    static let maxBytes = 128 << 20
    /// Maximum bytes per message.
    static let maxBytesAtOnce = 32 << 20

    /// - latent: size of the picture's latent
    ///   - width: channels per token
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

    /// The lattice's tokens in a tile; nil if there are none.
    package func tokens(of tile: Region) -> PicturePart.Lattice? {
        func next(_ start: Int) -> Int { ((first - start) % stride + stride) % stride }
        let (row, column) = (next(tile.rows.lowerBound), next(tile.columns.lowerBound))
        guard row < tile.rows.count, column < tile.columns.count else { return nil }
        return PicturePart.Lattice(stride: stride, firstRow: row, firstColumn: column)
    }

    /// Splits the tokens of tiles, `[1, rows, columns, width]` each, into messages of `[1, tokens, width]`, in tile
    /// order.
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
