import Engine

/// Decodes a latent, or encodes a picture, in tiles, with the same result as one evaluation of the
/// whole: the group norms use the moments of the whole picture, the attention attends to all of
/// it, and each tile is computed with margins as wide as the receptive field of its convolutions.
///
/// Workers keep no state between tiles: a result depends only on the message.
package struct TiledEvaluation {
    private let plan: TilePlan
    private let source: any TileSource
    private let renderer: any UnitRenderer
    private let observe: (RenderEvent) throws -> Void

    /// What every tile must know about the whole.
    private var statistics: [Moments] = []
    private var attention: [Embedding] = []

    /// Maximum latent pixels of the small copy.
    private let copyArea: Int

    /// The same, unless overridden in a test.
    package static let copyArea = 80 * 80

    /// Bytes of tiles that are cut at once, but at least one tile.
    private static let maxBytesAtOnce = 256 << 20

    /// Maximum bytes of a picture's pixels that a plan cuts at once.
    static func maxBytes(of plan: TilePlan) -> Int {
        let pixel = 3 * plan.factor * plan.factor * MemoryLayout<Float>.size
        let tiles = plan.tiles.map { plan.frame(of: $0, halo: plan.network.halo).area * pixel }
        return min(tiles.reduce(0, +), maxBytesAtOnce + (tiles.max() ?? 0))
    }

    /// Computes what the tiles must know.
    ///
    /// - Parameters:
    ///   - source: the whole latent, or the whole picture
    ///   - plan: how it is cut, and the half of the autoencoder
    ///   - renderer: evaluates parts
    ///   - copyArea: maximum latent pixels that are evaluated in one piece to estimate the whole
    ///   - observe: is told of progress
    /// - Throws: whatever the source, the renderer or the observer throws
    package init(
        _ source: any TileSource,
        plan: TilePlan,
        on renderer: any UnitRenderer,
        copyArea: Int = copyArea,
        observe: @escaping (RenderEvent) throws -> Void
    ) throws {
        (self.source, self.plan, self.copyArea) = (source, plan, copyArea)
        (self.renderer, self.observe) = (renderer, observe)
        if let attention = plan.network.attention {
            try settle(upTo: attention)
            try attend(attention)
        }
        try settle(upTo: plan.network.norms)
    }

    /// Evaluates one row of tiles.
    ///
    /// - Returns: `[1, height, width, 3]` each, or latents, from left to right
    /// - Throws: whatever the source, the renderer or the observer throws
    package func row(_ rows: Range<Int>) throws -> [Tensor] {
        let part = PicturePart(statistics: statistics)
        return try evaluate(plan.tiles(in: rows), halo: plan.network.halo) { _ in part }
            .map(\.wholeTensor)
    }

    /// Computes the moments of `count` norms, given those that are known.
    private mutating func settle(upTo count: Int) throws {
        let known = statistics.count / plan.network.groups
        guard known < count else { return }
        if plan.network.areCoarse(norms: count) {
            // Passes are cheap: each norm gets its own.
            for norm in known..<count { try measure(norm) }
        } else {
            try solve(from: known, upTo: count)
        }
    }

    /// Computes one norm's moments; all previous ones are known.
    private mutating func measure(_ norm: Int, lattice: KeyLattice? = nil) throws {
        let answers = try pass(norms: norm + 1, lattice: lattice)
        let parts = zip(plan.tiles, answers).map { tile, answer in
            (tile.area, Array(answer.statistics.suffix(plan.network.groups)))
        }
        statistics += [Moments](joining: parts)
        if lattice != nil {
            attention = KeyLattice.messages(answers.compactMap(\.tensor)).map {
                Embedding(context: $0)
            }
        }
    }

    /// Computes the moments of the attention's norm, and with them the tokens that all tiles attend to.
    private mutating func attend(_ attention: Int) throws {
        let lattice = KeyLattice(latent: plan.latent, width: plan.network.width)
        try measure(attention, lattice: lattice)
    }

    /// Computes several norms' moments at once, by passes that correct the estimates of a small copy.
    private mutating func solve(from first: Int, upTo count: Int) throws {
        let (network, tiles, known) = (plan.network, plan.tiles, statistics)
        var solver = StatisticsSolver(count: count * network.groups - known.count)
        let copy = try source.thinned(toArea: copyArea)
        for _ in first..<count {
            statistics = known
            statistics = try moments(of: copy, norms: count, by: solver.corrections)
            let answers = try pass(norms: count)
            let found = [Moments](joining: zip(tiles, answers).map { ($0.area, $1.statistics) })
            let difference = solver.take(
                used: Array(statistics[known.count...]),
                found: Array(found[known.count...])
            )
            if difference <= StatisticsSolver.tolerance { break }
        }
        statistics = known
        statistics = try moments(of: copy, norms: count, by: solver.corrections)
    }

    /// What the norms use on a small copy of the picture: the known moments and estimates of the others.
    private func moments(
        of copy: Tensor,
        norms: Int,
        by corrections: [Moments]
    ) throws -> [Moments] {
        let part = PicturePart(statistics: statistics, norms: norms, corrections: corrections)
        let request = WorkUnit.tile(
            0,
            plan.network.half,
            copy,
            part: part,
            attending: attention
        )
        let others = try renderer.evaluate([request]) { _ in }[0].statistics
        return statistics + others[statistics.count...]
    }

    /// Collects the statistics of every tile's first norms.
    private func pass(norms: Int, lattice: KeyLattice? = nil) throws -> [WorkResult] {
        let network = plan.network
        let isBefore = network.attention.map { norms <= $0 + 1 } ?? false
        try observe(.measuring(tiles: plan.tiles.count))
        return try evaluate(
            plan.tiles,
            halo: isBefore ? network.attentionHalo : network.halo
        ) { tile in
            let tokens = lattice?.tokens(of: tile)
            return PicturePart(statistics: statistics, norms: norms, tokens: tokens)
        }
    }

    /// Sends tiles, a limited number of bytes at a time.
    private func evaluate(
        _ tiles: [TilePlan.Tile],
        halo: Int,
        _ part: (TilePlan.Tile) -> PicturePart
    ) throws -> [WorkResult] {
        var results: [WorkResult] = []
        var (waiting, bytes): ([WorkUnit], Int) = ([], 0)
        func send() throws {
            results += try renderer.evaluate(waiting) { _ in try observe(.tile) }
            (waiting, bytes) = ([], 0)
        }
        for (index, tile) in tiles.enumerated() {
            var part = part(tile)
            part.margins = plan.margins(of: tile, halo: halo)
            let request = WorkUnit.tile(
                index,
                plan.network.half,
                try source.cut(plan.frame(of: tile, halo: halo)),
                part: part,
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
