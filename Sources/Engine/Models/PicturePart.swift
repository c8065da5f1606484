/// The halves of an autoencoder.
package enum AutoencoderHalf: String, CaseIterable, Sendable {
    /// Latent to picture.
    case decoder
    /// Picture to latent.
    case encoder
}

/// What tiled evaluation needs to know about a network whose group norms cover the whole picture.
package struct TiledNetwork: Equatable, Sendable {
    /// One layer; it begins with its group norm, if any.
    package struct Layer: Equatable, Sendable {
        package let hasNorm: Bool
        /// Pixels of the layer's input around a tile that the tile's result depends on.
        package let reach: Int
        /// Pixels of the layer's input per latent pixel, along each side.
        package let scale: Double
        /// Multiplications per latent pixel.
        package let work: Double
        /// Elements per latent pixel before the layer: its input, and what a residual block will add.
        package let numbers: Double
    }

    /// Which half of an autoencoder it is.
    package let half: AutoencoderHalf
    /// Number of group norms in the network.
    package let norms: Int
    /// Number of groups in each norm.
    package let groups: Int
    /// Index (from 0) of the norm before the attention over the whole picture; nil if there is none.
    package let attention: Int?
    /// Channels of the attention's tokens.
    package let width: Int
    /// Receptive field: latent pixels around a tile that its result depends on, not counting the attention.
    package let halo: Int
    /// The layers in the order of evaluation; they determine the cost of a tile. Empty if unknown.
    package let layers: [Layer]

    package init(
        half: AutoencoderHalf = .decoder,
        norms: Int,
        groups: Int,
        attention: Int?,
        width: Int,
        halo: Int,
        layers: [Layer] = []
    ) {
        self.half = half
        (self.norms, self.groups, self.attention) = (norms, groups, attention)
        (self.width, self.halo, self.layers) = (width, halo, layers)
    }

    /// A network in which no latent pixel depends on any other.
    package static func pointwise(_ half: AutoencoderHalf) -> TiledNetwork {
        TiledNetwork(half: half, norms: 0, groups: 1, attention: nil, width: 0, halo: 0)
    }

    /// The fraction of the work that precedes a norm; 1 for the end. If the layers are
    /// unknown, all steps count equally.
    package func shareOfWork(before norm: Int) -> Double {
        guard norm >= 0 else { return 0 }
        guard norm < norms else { return 1 }
        guard !layers.isEmpty else { return Double(norm + 1) / Double(norms + 1) }
        var (seen, done) = (0, 0.0)
        for layer in layers {
            if layer.hasNorm {
                if seen == norm { break }
                seen += 1
            }
            done += layer.work
        }
        return done / work
    }

    /// The cost of attending to this many tokens, as a fraction of all other work.
    package func shareOfAttention(to tokens: Int) -> Double {
        layers.isEmpty ? 0 : Double(2 * tokens * width) / work
    }

    private var work: Double { layers.reduce(0) { $0 + $1.work } }
}

/// Identifies a tile among the tiles of all pictures.
package struct TileID: Hashable, Sendable {
    /// Random number of the picture's evaluation, never 0.
    package let picture: UInt64
    /// Index among the picture's tiles.
    package let index: Int

    package init(picture: UInt64, index: Int) {
        (self.picture, self.index) = (picture, index)
    }
}

/// One tile of a picture, evaluated as a part of the whole.
package struct PicturePart: Equatable, Sendable {
    /// Margins of a tile in latent pixels, for both halves.
    package struct Margins: Equatable, Sendable {
        package let top: Int, left: Int, bottom: Int, right: Int

        package init(top: Int, left: Int, bottom: Int, right: Int) {
            (self.top, self.left, self.bottom, self.right) = (top, left, bottom, right)
        }

        package static let none = Margins(top: 0, left: 0, bottom: 0, right: 0)

        /// The area between the margins; empty where they overlap.
        package func core(height: Int, width: Int) -> Region {
            Region(
                rows: top..<max(top, height - bottom),
                columns: left..<max(left, width - right)
            )
        }
    }

    /// A grid of rows and columns in a tile: `firstRow` and `firstColumn` plus multiples of `stride`.
    package struct Lattice: Equatable, Sendable {
        package let stride: Int, firstRow: Int, firstColumn: Int

        package init(stride: Int, firstRow: Int, firstColumn: Int) {
            (self.stride, self.firstRow, self.firstColumn) = (stride, firstRow, firstColumn)
        }

        /// Rows and columns of the grid in a tile of this size.
        package func places(height: Int, width: Int) -> (rows: [Int], columns: [Int]) {
            (
                Array(Swift.stride(from: firstRow, to: height, by: stride)),
                Array(Swift.stride(from: firstColumn, to: width, by: stride))
            )
        }
    }

    package var margins: Margins
    /// The moments that the first group norms normalise by: per norm in the order of evaluation, then per group.
    package var statistics: [Moments]
    /// The norm to measure, counted from 1; `statistics` must cover all norms before it. 0
    /// computes the picture or the latent.
    package var norm: Int
    /// Tokens of the tile to return as well; nil for none.
    package var tokens: Lattice?
    /// Digests of the picture's tokens that the attention's keys and values are made of, in order. If empty,
    /// the tile's own tokens are used.
    package var attention: [EmbeddingDigest]

    /// Maximum embeddings that a part may reference.
    package static let maxAttention = 8
    /// Identifies the tile, so that an evaluation can continue where the last one of the same
    /// tile stopped; nil keeps nothing.
    package var tile: TileID?

    package init(
        margins: Margins = .none,
        statistics: [Moments] = [],
        norm: Int = 0,
        tokens: Lattice? = nil,
        tile: TileID? = nil,
        attention: [EmbeddingDigest] = []
    ) {
        (self.margins, self.statistics, self.norm) = (margins, statistics, norm)
        (self.tokens, self.tile, self.attention) = (tokens, tile, attention)
    }
}
