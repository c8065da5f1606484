/// The halves of an autoencoder.
package enum AutoencoderHalf: String, CaseIterable, Sendable {
    /// Latent to picture.
    case decoder
    /// Picture to latent.
    case encoder
}

/// What tiled evaluation needs to know of a network whose group norms see the whole picture.
package struct TiledNetwork: Equatable, Sendable {
    /// One layer, in the order of evaluation. It begins with its group norm, if it has one.
    package struct Layer: Equatable, Sendable {
        package let hasNorm: Bool
        /// Pixels beyond a tile, of what goes into the layer, that the rest of the network sees.
        package let reach: Int
        /// Pixels of what goes into the layer, per latent pixel along a side.
        package let scale: Double
        /// Multiplications per latent pixel.
        package let work: Double
    }

    /// Which half of an autoencoder it is.
    package let half: AutoencoderHalf
    /// Group norms, in the order of evaluation.
    package let norms: Int
    /// Groups of each.
    package let groups: Int
    /// The norm before the attention over the whole picture; nil where there is none.
    package let attention: Int?
    /// Channels of the tokens there.
    package let width: Int
    /// Latent pixels around a tile that its result depends on, besides the attention.
    package let halo: Int
    /// Its layers, where they are known: what a tile costs follows from them.
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

    /// A network in which no latent pixel depends on another.
    package static func pointwise(_ half: AutoencoderHalf) -> TiledNetwork {
        TiledNetwork(half: half, norms: 0, groups: 1, attention: nil, width: 0, halo: 0)
    }

    /// The share of the work that is done when a norm is reached; 1 for the end. Equal steps where the
    /// layers are not known.
    package func shareOfWork(before norm: Int) -> Double {
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

    /// What all pixels' attending to so many tokens costs, in shares of the other work.
    package func shareOfAttention(to tokens: Int) -> Double {
        layers.isEmpty ? 0 : Double(2 * tokens * width) / work
    }

    private var work: Double { layers.reduce(0) { $0 + $1.work } }
}

/// One tile of a picture, to be computed as in the whole.
package struct PicturePart: Equatable, Sendable {
    /// Rows and columns that a tile has beside it, in latent pixels, whichever half is evaluated.
    package struct Margins: Equatable, Sendable {
        package let top: Int, left: Int, bottom: Int, right: Int

        package init(top: Int, left: Int, bottom: Int, right: Int) {
            (self.top, self.left, self.bottom, self.right) = (top, left, bottom, right)
        }

        package static let none = Margins(top: 0, left: 0, bottom: 0, right: 0)

        /// What is between them of a picture; empty where they overlap.
        package func core(height: Int, width: Int) -> Region {
            Region(
                rows: top..<max(top, height - bottom),
                columns: left..<max(left, width - right)
            )
        }
    }

    /// Rows and columns of a tile: `firstRow` and `firstColumn` plus multiples of `stride`.
    package struct Lattice: Equatable, Sendable {
        package let stride: Int, firstRow: Int, firstColumn: Int

        package init(stride: Int, firstRow: Int, firstColumn: Int) {
            (self.stride, self.firstRow, self.firstColumn) = (stride, firstRow, firstColumn)
        }

        /// Rows and columns of a tile of this size.
        package func places(height: Int, width: Int) -> (rows: [Int], columns: [Int]) {
            (
                Array(Swift.stride(from: firstRow, to: height, by: stride)),
                Array(Swift.stride(from: firstColumn, to: width, by: stride))
            )
        }
    }

    package var margins: Margins
    /// Of the first group norms, in the order of evaluation, for each group: what to normalise by.
    package var statistics: [Moments]
    /// Counted from 1, the norm to measure, all before which are in `statistics`; 0 computes the picture
    /// or the latent.
    package var norms: Int
    /// Which of the tile's tokens the answer holds, too.
    package var tokens: Lattice?
    /// Digests of the picture's tokens that the attention's keys and values are made of, in order; none:
    /// the tile's own.
    package var attention: [EmbeddingDigest]

    /// Embeddings that a part may name.
    package static let maxAttention = 8
    /// Names the tile among all tiles of all pictures, so that an evaluation may continue from where the
    /// last one of the same tile stopped; 0 names none, and nothing is kept.
    package var tile: UInt64

    package init(
        margins: Margins = .none,
        statistics: [Moments] = [],
        norms: Int = 0,
        tokens: Lattice? = nil,
        tile: UInt64 = 0,
        attention: [EmbeddingDigest] = []
    ) {
        (self.margins, self.statistics, self.norms) = (margins, statistics, norms)
        (self.tokens, self.tile, self.attention) = (tokens, tile, attention)
    }
}
