extension VAEEncoder {
    /// Encodes a tile as a part of its picture; margins are cropped as in the decoder.
    ///
    /// - Parameters:
    ///   - picture: `[1, height, width, 3]`, the tile and its margins
    ///   - task: what to compute
    ///   - factor: pixels per latent pixel along a side
    ///   - reach: `VAEConfig.encoderReach`
    /// - Returns: `[1, rows, columns, 2 · latentChannels]`, or the tokens; nil if only norms were
    ///   requested
    /// - Throws: `ComputationCancelled`
    func part(
        _ picture: Activation,
        _ task: PartTask,
        factor: Int,
        reach: [Int]
    ) throws(ComputationCancelled) -> Activation? {
        var tile = FramedTile(
            convIn(picture),
            task.part.margins.map { factor * $0 },
            task.statistics,
            convIn.backend
        )
        for (level, block) in down.enumerated() {
            tile.trim(to: reach[level])
            for resnet in block.resnets {
                if task.isDone { return nil }
                try task.cancellation.check()
                resnet.replace(&tile.x)
            }
            if let downsample = block.downsample {
                tile.trim(to: 2 * reach[level + 1] + 2)
                tile.halve(by: downsample)
            }
        }
        if task.isDone { return nil }
        try task.cancellation.check()
        let tokens = mid.part(&tile, task, reach: 1)
        if task.isDone { return tokens }
        tile.trim(to: 1)
        tile.x = normOut(tile.x, then: .silu, overwriting: true)
        if task.part.norms > 0 { return tokens }
        tile.x = convOut(tile.x)
        tile.trim(to: 0)
        return quant.map { $0(tile.x) } ?? tile.x
    }
}
