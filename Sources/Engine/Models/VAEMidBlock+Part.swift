/// What to compute of a tile, and the statistics that its norms use.
struct PartTask {
    let part: PicturePart
    /// Used by the group norms.
    let statistics: NormStatistics
    /// `[1, tokens, width]`, the source of the attention's keys and values; nil: the tile's own tokens.
    let keys: Activation?
    /// Checked between blocks.
    let cancellation: Cancellation

    /// Whether nothing is left to be computed.
    var isDone: Bool { part.norms > 0 && statistics.isDone }
}

extension VAEMidBlock {
    /// The middle block of a tile.
    ///
    /// - Parameters:
    ///   - tile: at the coarsest resolution
    ///   - task: what to compute
    ///   - reach: receptive field of everything after the block
    /// - Returns: the tokens, if requested. When the task is done, the tile must not be used any more.
    func part(_ tile: inout FramedTile, _ task: PartTask, reach: Int) -> Activation? {
        before.replace(&tile.x)
        let tokens = task.part.tokens.map(tile.pick)
        if task.isDone { return tokens }
        if let attention {
            // The norm is measured whether or not the attention is still needed.
            var normed = tile
            normed.x = attention.norm(tile.x)
            if task.isDone { return tokens }
            tile.trim(to: 2 + reach)
            normed.trim(to: 2 + reach)
            tile.x = attention.mix(tile.x, normed.x, keys: task.keys, by: task.statistics.last)
        }
        after.replace(&tile.x)
        return tokens
    }
}

extension VAEAttention {
    /// Adds the attention's output to every pixel.
    ///
    /// - Parameters:
    ///   - x: `[1, height, width, channels]`
    ///   - normed: the same after the norm
    ///   - keys: `[1, tokens, channels]`, before the norm; nil: the pixels of `x`
    ///   - moments: what the norm normalises by
    /// - Returns: `[1, height, width, channels]`
    fileprivate func mix(
        _ x: Activation,
        _ normed: Activation,
        keys: Activation?,
        by moments: [Moments]
    ) -> Activation {
        let (pixels, width) = (x.shape[1] * x.shape[2], x.shape[3])
        let own = queriesKeysValues(normed.viewed(as: [1, pixels, width]))
        let all = keys.map { queriesKeysValues(norm.normalise($0, by: moments)) } ?? own
        let mixed = out.backend.attention(
            own.columns(from: 0, count: width),
            all.columns(from: width, count: width),
            all.columns(from: 2 * width, count: width),
            heads: 1,
            causal: false
        )
        return out(mixed, plus: x.viewed(as: [1, pixels, width])).viewed(as: x.shape)
    }
}
