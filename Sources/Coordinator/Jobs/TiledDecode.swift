import Engine

/// Decodes a latent in tiles so that the result is that of one decode of the whole: the group norms
/// normalise by the moments of the whole picture, the attention attends to all of it, and each tile is
/// computed with as much beside it as its convolutions see.
///
/// Workers keep nothing between tiles: what they answer follows from what they are sent.
package struct TiledDecode {
    private let plan: DecodePlan
    private let latent: Tensor
    private let renderer: any ViewRenderer
    private let observe: (RenderEvent) throws -> Void

    /// What every tile must be told of the whole.
    private var statistics: [Moments] = []
    private var keys = PictureKeys()

    /// Latent pixels of the small copy, at most.
    private let copyArea: Int

    /// Finds what the tiles must be told.
    ///
    /// - Parameters:
    ///   - latent: `[1, height, width, channels]`
    ///   - plan: how it is cut
    ///   - renderer: decodes parts
    ///   - copyArea: latent pixels that are decoded in one piece to foresee the whole, at most
    ///   - observe: is told of progress
    /// - Throws: what the renderer or the observer throws
    package init(
        _ latent: Tensor,
        plan: DecodePlan,
        on renderer: any ViewRenderer,
        copyArea: Int = 80 * 80,
        observe: @escaping (RenderEvent) throws -> Void
    ) throws {
        (self.latent, self.plan, self.copyArea) = (latent, plan, copyArea)
        (self.renderer, self.observe) = (renderer, observe)
        try settleAttention()
        try settleRest()
    }

    /// Decodes one row of tiles.
    ///
    /// - Returns: `[1, height, width, 3]` each, from left to right
    /// - Throws: what the renderer or the observer throws
    package func row(_ rows: Range<Int>) throws -> [Tensor] {
        let requests = plan.tiles(in: rows).enumerated().map { index, tile in
            request(index, tile, PicturePart(statistics: statistics), halo: plan.network.halo)
        }
        return try renderer.decode(requests) { _ in try observe(.tile) }.map(\.wholeTensor)
    }

    /// The norms up to the attention are at the coarsest resolution, where a pass costs little: each is
    /// found by one of its own. The last also gives the tokens that all tiles attend to.
    private mutating func settleAttention() throws {
        let (network, tiles) = (plan.network, plan.tiles)
        guard let attention = network.attention else { return }
        let lattice = KeyLattice(latent: plan.latent, width: network.width)
        for norm in 0...attention {
            let answers = try pass(
                norms: norm + 1,
                halo: network.attentionHalo,
                lattice: norm == attention ? lattice : nil
            )
            let parts = zip(tiles, answers).map { tile, answer in
                (tile.area, Array(answer.statistics.suffix(network.groups)))
            }
            statistics += [Moments](joining: parts)
            if norm == attention {
                keys = PictureKeys(KeyLattice.messages(answers.compactMap(\.tensor)))
            }
        }
    }

    private mutating func settleRest() throws {
        let (network, tiles) = (plan.network, plan.tiles)
        let (known, all) = (statistics, network.norms * network.groups)
        var solver = StatisticsSolver(count: all - known.count)
        let copy = latent.thinned(toArea: copyArea)
        for _ in known.count / network.groups..<network.norms {
            statistics = known
            statistics = try moments(of: copy, by: solver.corrections)
            let answers = try pass(norms: network.norms, halo: network.halo)
            let found = [Moments](joining: zip(tiles, answers).map { ($0.area, $1.statistics) })
            let difference = solver.take(
                used: Array(statistics[known.count...]),
                found: Array(found[known.count...])
            )
            if difference <= StatisticsSolver.tolerance { break }
        }
        guard all > known.count else { return }
        statistics = known
        statistics = try moments(of: copy, by: solver.corrections)
    }

    /// What the norms normalise a small copy of the picture by, those that are known and the others.
    private func moments(of copy: Tensor, by corrections: [Moments]) throws -> [Moments] {
        let part = PicturePart(
            statistics: statistics,
            norms: plan.network.norms,
            corrections: corrections
        )
        let request = PartRequest(index: 0, latent: copy, part: part, network: plan.network)
        let others = try renderer.decode([request]) { _ in }[0].statistics
        return statistics + others[statistics.count...]
    }

    /// Lets every tile say what its norms see.
    private func pass(
        norms: Int,
        halo: Int,
        lattice: KeyLattice? = nil
    ) throws -> [PartResult] {
        let tiles = plan.tiles
        try observe(.measuring(tiles: tiles.count))
        let requests = tiles.enumerated().map { index, tile in
            let tokens = lattice?.tokens(of: tile)
            let part = PicturePart(statistics: statistics, norms: norms, tokens: tokens)
            return request(index, tile, part, halo: halo)
        }
        return try renderer.decode(requests) { _ in try observe(.tile) }
    }

    private func request(
        _ index: Int,
        _ tile: DecodePlan.Tile,
        _ part: PicturePart,
        halo: Int
    ) -> PartRequest {
        var part = part
        let margins = plan.margins(of: tile, halo: halo)
        part.margins = margins
        return PartRequest(
            index: index,
            latent: latent.cropped(
                top: tile.rows.lowerBound - margins.top,
                left: tile.columns.lowerBound - margins.left,
                height: tile.rows.count + margins.top + margins.bottom,
                width: tile.columns.count + margins.left + margins.right
            ),
            part: part,
            keys: keys,
            network: plan.network
        )
    }
}

extension Tensor {
    /// Every k-th row and column of a picture, so that at most `area` pixels are left: the numbers in them
    /// are spread as they were, which means would not be.
    fileprivate func thinned(toArea area: Int) -> Tensor {
        let (height, width, channels) = (shape[1], shape[2], shape[3])
        var step = 1
        while (height / step) * (width / step) > area { step += 1 }
        let (rows, columns) = (max(1, height / step), max(1, width / step))
        return Tensor(shape: [1, rows, columns, channels]) { out in
            withFloats { x in
                for i in out.indices {
                    let (pixel, channel) = (i / channels, i % channels)
                    let (row, column) = (pixel / columns, pixel % columns)
                    let y = min(height - 1, row * step + step / 2)
                    let c = min(width - 1, column * step + step / 2)
                    out[i] = x[(y * width + c) * channels + channel]
                }
            }
        }
    }
}
