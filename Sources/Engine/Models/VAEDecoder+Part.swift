extension VAEDecoder {
    /// Decodes a tile as a part of its picture.
    ///
    /// Margins are cropped as soon as nothing that follows depends on them: where a
    /// picture is largest, hardly anything is computed twice.
    ///
    /// - Parameters:
    ///   - latent: `[1, height, width, latentChannels]`, the tile and its margins, not scaled
    ///   - task: what to compute
    ///   - reach: `VAEConfig.decoderReach`
    /// - Returns: `[1, rows, columns, 3]`, or the tokens; nil if only norms were requested
    /// - Throws: `ComputationCancelled`
    func part(
        _ latent: Activation,
        _ task: PartTask,
        reach: [Int]
    ) throws(ComputationCancelled) -> Activation? {
        var tile = FramedTile(
            convIn(postQuant.map { $0(latent) } ?? latent),
            task.part.margins,
            task.statistics,
            convIn.backend
        )
        let tokens = mid.part(&tile, task, reach: reach[0])
        for (level, block) in up.enumerated() {
            if task.isDone { return tokens }
            tile.trim(to: reach[level])
            for resnet in block.resnets {
                if task.isDone { return tokens }
                try task.cancellation.check()
                resnet.replace(&tile.x)
            }
            if let upsample = block.upsample {
                tile.trim(to: (reach[level + 1] + 2) / 2)
                tile.double(by: upsample)
            }
        }
        if task.isDone { return tokens }
        tile.trim(to: 1)
        tile.x = normOut(tile.x, then: .silu, overwriting: true)
        if task.part.norms > 0 { return tokens }
        tile.x = convOut(tile.x)
        tile.trim(to: 0)
        return tile.x
    }
}
