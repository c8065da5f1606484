import Engine

/// Decodes a latent, or encodes a picture, in tiles, with the same result as one evaluation of the whole: group norms
/// use the moments of the whole picture, attention attends to all of it, and each tile is computed with margins as wide
/// as the receptive field of its convolutions.
///
/// All tiles advance from one group norm to the next. At each norm they report the moments over their own pixels, and
/// continue when the moments of the whole picture are known. Workers keep the activations in between, but a unit
/// contains everything that its result depends on, so if a worker is lost, another one can recompute its tile.
package struct TiledEvaluation {
    private let plan: TilePlan
    private let source: CutTiles
    private let renderer: any UnitRenderer
    private let observe: (RenderEvent) throws -> Void

    /// What every tile must know about the whole picture.
    private var statistics: [Moments] = []
    private var attention: [Embedding] = []
    /// Identifies this evaluation to workers. The result does not depend on it.
    private let picture = UInt64.random(in: 1...UInt64.max)

    /// Maximum bytes of tiles, or of their results, in memory at once; but at least one tile or row.
    private static let maxBytesAtOnce = 256 << 20

    /// Maximum bytes of a picture's pixels that a plan cuts at once.
    static func maxBytes(of plan: TilePlan) -> Int {
        let pixel = 3 * plan.factor * plan.factor * MemoryLayout<Float>.size
        let tiles = plan.tiles.map { plan.frame(of: $0).area * pixel }
        return min(tiles.reduce(0, +), maxBytesAtOnce + (tiles.max() ?? 0))
    }

    /// Takes all tiles to the last norm.
    ///
    /// - Parameters:
    ///   - source: the whole latent, or the whole picture
    ///   - plan: how the source is cut, and which half of the autoencoder is evaluated
    ///   - renderer: evaluates the tiles
    ///   - observe: receives progress events
    /// - Throws: whatever the source, the renderer or the observer throws
    package init(
        _ source: any TileSource,
        plan: TilePlan,
        on renderer: any UnitRenderer,
        observe: @escaping (RenderEvent) throws -> Void
    ) throws {
        (self.source, self.plan) = (CutTiles(source, plan, maxBytes: Self.maxBytesAtOnce), plan)
        (self.renderer, self.observe) = (renderer, observe)
        for norm in 0..<plan.network.norms { try measure(norm) }
    }

    /// Evaluates the remaining layers.
    ///
    /// - Parameter body: receives the result, `[1, height, width, 3]` or a latent, one row of tiles at a time, from top
    ///   to bottom
    /// - Throws: whatever the source, the renderer, the observer or `body` throws
    package func finish(_ body: (Tensor) throws -> Void) throws {
        // Each worker keeps its own tiles: with one row at a time, workers without a tile in it would idle.
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

    /// Computes the moments of a norm; those of all earlier norms are already known. At the attention's norm, also
    /// collects the tokens that all tiles attend to.
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

    /// Sends tiles, a limited number of bytes at a time, to measure norm `norm`, counted from 0; nil computes the
    /// result.
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
                try source.cut(tile),
                part: PicturePart(
                    margins: plan.margins(of: tile),
                    statistics: statistics,
                    norm: norm.map { $0 + 1 } ?? 0,
                    tokens: lattice?.tokens(of: tile),
                    tile: TileID(picture: picture, index: index)
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

/// The tiles of a picture, with their margins. Every norm needs all of them again, so they are cut once and kept if all
/// of them fit in memory.
private final class CutTiles {
    private let source: any TileSource
    private let plan: TilePlan
    private let maxBytes: Int
    private var kept: [Int: Tensor] = [:]
    /// Bytes of all tiles, known after the first one has been cut.
    private var bytes: Int?

    init(_ source: any TileSource, _ plan: TilePlan, maxBytes: Int) {
        (self.source, self.plan, self.maxBytes) = (source, plan, maxBytes)
    }

    func cut(_ tile: TilePlan.Tile) throws -> Tensor {
        let index = plan.index(of: tile)
        if let known = kept[index] { return known }
        let frame = plan.frame(of: tile)
        let new = try source.cut(frame)
        let all =
            bytes
            ?? plan.tiles.reduce(0) { sum, other in
                sum + plan.frame(of: other).area * new.count / frame.area * MemoryLayout<Float>.size
            }
        bytes = all
        if all <= maxBytes { kept[index] = new }
        return new
    }
}
