/// The halves of an autoencoder.
package enum AutoencoderHalf: String, CaseIterable, Sendable {
    /// Latent to picture.
    case decoder
    /// Picture to latent.
    case encoder
}

/// What tiled evaluation needs to know about a network whose group norms cover the whole picture.
package struct TiledNetwork: Equatable, Sendable {
    /// Which half of an autoencoder it is.
    package let half: AutoencoderHalf
    /// Number of group norms.
    package let norms: Int
    /// Groups of each.
    package let groups: Int
    /// The norm before the attention over the whole picture; nil if there is none.
    package let attention: Int?
    /// Channels of the tokens there.
    package let width: Int
    /// Receptive field: latent pixels around a tile that its result depends on, apart from the attention.
    package let halo: Int
    /// Latent pixels around a tile that its attention tokens depend on.
    package let attentionHalo: Int

    package init(
        half: AutoencoderHalf = .decoder,
        norms: Int,
        groups: Int,
        attention: Int?,
        width: Int,
        halo: Int,
        attentionHalo: Int
    ) {
        self.half = half
        (self.norms, self.groups, self.attention) = (norms, groups, attention)
        (self.width, self.halo, self.attentionHalo) = (width, halo, attentionHalo)
    }

    /// A network in which no latent pixel depends on any other.
    package static func pointwise(_ half: AutoencoderHalf) -> TiledNetwork {
        TiledNetwork(
            half: half,
            norms: 0,
            groups: 1,
            attention: nil,
            width: 0,
            halo: 0,
            attentionHalo: 0
        )
    }

    /// Whether its first `norms` norms are at the coarsest resolution, where little is computed: those
    /// up to the attention's, if that is where the network begins.
    package func areCoarse(norms: Int) -> Bool {
        half == .decoder && (attention.map { norms <= $0 + 1 } ?? false)
    }
}

/// One tile of a picture, computed as a part of the whole.
package struct PicturePart: Equatable, Sendable {
    /// Margins of a tile, in latent pixels, whichever half is evaluated.
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
    /// How many norms to report; 0 computes the picture or the latent.
    package var norms: Int
    /// For the norms after those of `statistics`, for each group: what is added to the mean that the
    /// tensor gives, and what its variance is multiplied by. The report then holds the corrected statistics.
    package var corrections: [Moments]
    /// The tile's tokens that the answer contains.
    package var tokens: Lattice?
    /// Digests of the picture's tokens that the attention's keys and values are made of, in order; none:
    /// the tile's own.
    package var attention: [EmbeddingDigest]

    /// Maximum embeddings that a part may reference.
    package static let maxAttention = 8

    package init(
        margins: Margins = .none,
        statistics: [Moments] = [],
        norms: Int = 0,
        corrections: [Moments] = [],
        tokens: Lattice? = nil,
        attention: [EmbeddingDigest] = []
    ) {
        (self.margins, self.statistics, self.norms) = (margins, statistics, norms)
        (self.corrections, self.tokens, self.attention) = (corrections, tokens, attention)
    }
}
