import Engine

/// Decodes a latent, or encodes a picture, in tiles so that the result is that of one evaluation of the
/// whole: the group norms normalise by the moments of the whole picture, the attention attends to all of
/// it, and each tile is computed with as much beside it as its convolutions see.
///
/// All tiles go from one group norm to the next, report its moments over their own pixels, and continue
/// once those of the whole picture are known. Workers keep what the tiles have become by then; but a
/// request says all that its answer depends on, so that a tile whose worker is lost is computed again by another.
package struct TiledEvaluation {
    private let plan: TilePlan
    private let source: any TileSource
    private let renderer: any UnitRenderer
    private let observe: (RenderEvent) throws -> Void

    /// What every tile must be told of the whole.
    private var statistics: [Moments] = []
    private var attention: [Embedding] = []
    /// The name of the first tile; the others follow.
    private let firstName = UInt64.random(in: 1...UInt64.max / 2)

    /// Bytes of tiles, or of their results, that are in memory at once, at least one tile or row.
    private static let maxBytesAtOnce = 256 << 20

    /// Most bytes of a picture's pixels that a plan cuts at once.
    static func maxBytes(of plan: TilePlan) -> Int {
        let pixel = 3 * plan.factor * plan.factor * MemoryLayout<Float>.size
        let tiles = plan.tiles.map { plan.frame(of: $0).area * pixel }
        return min(tiles.reduce(0, +), maxBytesAtOnce + (tiles.max() ?? 0))
    }

    /// Takes the tiles through all norms.
    ///
    /// - Parameters:
    ///   - source: the whole latent, or the whole picture
    ///   - plan: how it is cut, and the half of the autoencoder
    ///   - renderer: evaluates parts
    ///   - observe: is told of progress
    /// - Throws: what the source, the renderer or the observer throws
    package init(
        _ source: any TileSource,
        plan: TilePlan,
        on renderer: any UnitRenderer,
        observe: @escaping (RenderEvent) throws -> Void
    ) throws {
        (self.source, self.plan) = (source, plan)
        (self.renderer, self.observe) = (renderer, observe)
        for norm in 0..<plan.network.norms { try measure(norm) }
    }

    /// Evaluates the rest, which computes the result.
    ///
    /// - Parameter body: takes one row of tiles after the other, `[1, height, width, 3]` or a latent, from
    ///   top to bottom
    /// - Throws: what the source, the renderer, the observer or `body` throws
    package func finish(_ body: (Tensor) throws -> Void) throws {
        // Workers have the tiles that they have: with only one row at a time some would have to wait.
        for rows in rowsAtOnce {
            let tiles = rows.flatMap(plan.tiles(in:))
            let results = try evaluate(tiles, norm: nil).map(\.wholeTensor)
            let count = plan.columns.count
            for first in stride(from: 0, to: results.count, by: count) {
                try body(Tensor(sideBySide: Array(results[first..<first + count])))
            }
        }
    }

    /// Rows of tiles whose results fit in memory together.
    private var rowsAtOnce: [[Range<Int>]] {
        let pixels = plan.network.half == .decoder ? plan.factor * plan.factor : 1
        let line = plan.latent.width * pixels * 4 * MemoryLayout<Float>.size
        var (groups, bytes): ([[Range<Int>]], Int) = ([], Int.max / 2)
        for row in plan.rows {
            bytes += row.count * line
            if bytes > Self.maxBytesAtOnce {
                groups.append([])
                bytes = row.count * line
            }
            groups[groups.count - 1].append(row)
        }
        return groups
    }

    /// Finds what a norm sees of the whole, all before which are known, and at the attention's the tokens
    /// that all tiles attend to.
    private mutating func measure(_ norm: Int) throws {
        try observe(.measuring(tiles: plan.tiles.count))
        let answers = try evaluate(plan.tiles, norm: norm)
        statistics += [Moments](
            joining: zip(plan.tiles, answers).map { ($0.area, $1.statistics) }
        )
        if norm == plan.network.attention {
            attention = KeyLattice.messages(answers.compactMap(\.tensor)).map {
                Embedding(context: $0)
            }
        }
    }

    /// Sends tiles, a bounded number of bytes at a time.
    ///
    /// - Parameters:
    ///   - tiles: of the plan
    ///   - norm: what to measure; nil computes the result
    /// - Returns: results in the order of the tiles
    /// - Throws: what the source, the renderer or the observer throws
    private func evaluate(_ tiles: [TilePlan.Tile], norm: Int?) throws -> [WorkResult] {
        let lattice =
            norm != nil && norm == plan.network.attention
            ? KeyLattice(latent: plan.latent, width: plan.network.width) : nil
        var results: [WorkResult] = []
        var (waiting, bytes): ([WorkUnit], Int) = ([], 0)
        func send() throws {
            results += try renderer.evaluate(waiting) { _ in try observe(.tile) }
            (waiting, bytes) = ([], 0)
        }
        for tile in tiles {
            let index = plan.index(of: tile)
            let request = WorkUnit.tile(
                index,
                plan.network.half,
                try source.cut(plan.frame(of: tile)),
                part: PicturePart(
                    margins: plan.margins(of: tile),
                    statistics: statistics,
                    norms: norm.map { $0 + 1 } ?? 0,
                    tokens: lattice?.tokens(of: tile),
                    tile: firstName + UInt64(index)
                ),
                attending: attention
            )
            bytes += request.input.count * MemoryLayout<Float>.size
            waiting.append(request)
            if bytes >= Self.maxBytesAtOnce { try send() }
        }
        try send()
        return results
    }
}
