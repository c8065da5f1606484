/// Evaluation of tiles as parts of their picture.
extension VAE {
    /// Evaluates half of the autoencoder on a tile, up to a group norm or to the end.
    ///
    /// The tile's activations are kept, and the next evaluation of the tile continues with them. A tile that was not
    /// kept is computed from its input. Both give the same bits.
    ///
    /// - Parameters:
    ///   - half: whether to decode or to encode
    ///   - input: the tile and its margins: `[1, h, w, latentChannels]`, as the sampler leaves it, or to encode `[1,
    ///     factor · h, factor · w, 3]`, −1…1; `omitted` if the tile is kept
    ///   - part: what to compute
    ///   - keys: tokens of the picture for the attention, each `[1, tokens, width]`; if empty, the tile's own
    ///   - cancellation: checked between the layers
    /// - Returns: the tile's `[1, factor · height, factor · width, 3]`, its latent `[1, height, width, latentChannels]`
    ///   in the form of `latent(of:)`, or what else `part` asks for
    /// - Throws: `InputError` if something does not fit the model or the tile, `TileNotKept`, `OutputError` if the disk
    ///   is full or broken, `ComputationCancelled`
    package func evaluate(
        _ half: AutoencoderHalf,
        _ input: Tensor,
        as part: PicturePart,
        keys: [Tensor],
        cancellation: Cancellation = Cancellation()
    ) throws -> WorkResult {
        try check(part, keys, half)
        return try backend.checking {
            try evaluateUnchecked(half, input, as: part, keys: keys, cancellation)
        }
    }

    private func evaluateUnchecked(
        _ half: AutoencoderHalf,
        _ input: Tensor,
        as part: PicturePart,
        keys: [Tensor],
        _ cancellation: Cancellation
    ) throws -> WorkResult {
        let network = config.network(half)
        let kept = try part.tile.flatMap {
            try states.take($0, statistics: part.statistics, on: backend)
        }
        var tile = try kept ?? begin(half, input, part.margins)
        try advance(&tile, half, part, keys, cancellation)
        guard part.norm > 0 else {
            let result = backend.download(tile.x)
            try backend.check()
            if let id = part.tile { states.forget(id) }
            if states.isEmpty { backend.releaseFreeMemory() }
            return WorkResult(tensor: half == .encoder ? latent(ofMoments: result) : result)
        }
        let moments = backend.moments(tile.x, groups: network.groups, of: tile.core)
        let tokens = try part.tokens.map { try self.tokens(of: tile, $0) }
        try backend.check()
        if let id = part.tile {
            try states.keep(tile, as: id, statistics: part.statistics, on: backend)
        }
        return WorkResult(tensor: tokens, statistics: moments)
    }

    /// Forgets all tiles.
    package func forgetTiles() {
        states.forget()
        backend.releaseFreeMemory()
    }

    /// Moves tiles from the device to files, because something else needs the device's memory.
    ///
    /// - Returns: whether there were any
    /// - Throws: `DeviceError`
    package func moveTilesToFiles() throws -> Bool {
        try backend.checking { try states.moveToFiles(on: backend) }
    }

    /// Number of tiles that are kept, and how many of these are in files.
    package var tilesKept: (all: Int, inFiles: Int) { states.count }

    private func begin(
        _ half: AutoencoderHalf,
        _ input: Tensor,
        _ margins: PicturePart.Margins
    ) throws -> FramedTile {
        guard !input.isOmitted else { throw TileNotKept() }
        try check(input, margins, half)
        return switch half {
        case .decoder: FramedTile(uploaded(latent: input), margins)
        case .encoder: FramedTile(backend.upload(input), margins.map { config.factor * $0 })
        }
    }

    /// Advances a tile to the norm that the part asks for, or to the end.
    private func advance(
        _ tile: inout FramedTile,
        _ half: AutoencoderHalf,
        _ part: PicturePart,
        _ keys: [Tensor],
        _ cancellation: Cancellation
    ) throws(ComputationCancelled) {
        let network = config.network(half)
        let layers = half == .decoder ? loaded(decoder).tileLayers : loaded(encoder).tileLayers
        precondition(network.layers.count == layers.count, "\(half): \(layers.count) layers")
        let last = part.norm > 0 ? part.norm - 1 : network.norms
        while tile.layers < layers.count {
            let (place, layer) = (tile.layers, layers[tile.layers])
            guard layer.norm == nil || tile.norms < last else { return }
            try cancellation.check()
            let from = tile.norms * network.groups
            tile.pass(
                layer,
                reach: (
                    network.layers[place].reach,
                    place + 1 < layers.count ? network.layers[place + 1].reach : 0
                ),
                by: layer.norm == nil
                    ? [] : Array(part.statistics[from..<from + network.groups]),
                keys: { uploaded(keys, width: network.width) },
                on: backend
            )
        }
    }

    private func uploaded(_ keys: [Tensor], width: Int) -> Activation? {
        guard !keys.isEmpty else { return nil }
        let count = keys.reduce(0) { $0 + $1.shape[1] }
        return backend.upload(Tensor(chaining: keys, shape: [1, count, width]))
    }

    private func tokens(
        of tile: FramedTile,
        _ lattice: PicturePart.Lattice
    ) throws(InputError) -> Tensor {
        let core = tile.core
        guard core.rows.count > lattice.firstRow, core.columns.count > lattice.firstColumn else {
            throw misfit("asks for tokens that do not exist")
        }
        let places = lattice.places(height: core.rows.count, width: core.columns.count)
        return backend.download(
            backend.pick(
                tile.x,
                rows: places.rows.map { core.rows.lowerBound + $0 },
                columns: places.columns.map { core.columns.lowerBound + $0 }
            )
        )
    }

    private func misfit(_ what: String) -> InputError {
        InputError("part", what, fix: "Use the same version of Tessera on both sides")
    }

    /// Rejects an input that a coordinator with this model would not send.
    private func check(
        _ input: Tensor,
        _ margins: PicturePart.Margins,
        _ half: AutoencoderHalf
    ) throws(InputError) {
        let (channels, unit) =
            switch half {
            case .decoder: (config.latentChannels, 1)
            case .encoder: (config.imageChannels, config.factor)
            }
        guard input.shape.count == 4, input.shape[0] == 1, input.shape[3] == channels,
            input.shape[1] % unit == 0, input.shape[2] % unit == 0
        else { throw misfit("has a tile of the shape \(input.shape)") }
        let core = margins.core(height: input.shape[1] / unit, width: input.shape[2] / unit)
        guard core.area > 0 else { throw misfit("has margins that cover the whole tile") }
    }

    /// Rejects a part that a coordinator with this model would not send.
    private func check(
        _ part: PicturePart,
        _ keys: [Tensor],
        _ half: AutoencoderHalf
    ) throws(InputError) {
        let network = config.network(half)
        let known = part.norm > 0 ? part.norm - 1 : network.norms
        guard (0...network.norms).contains(part.norm),
            part.statistics.count == known * network.groups
        else { throw misfit("has \(part.statistics.count) statistics for norm \(part.norm)") }
        let sound = part.statistics.allSatisfy {
            $0.mean.isFinite && $0.variance.isFinite && $0.variance >= 0
        }
        guard sound else { throw misfit("has NaN or infinite statistics") }
        guard
            keys.allSatisfy({
                $0.shape.count == 3 && $0.shape[0] == 1 && $0.shape[2] == network.width
            }), keys.isEmpty || network.attention != nil
        else { throw misfit("has keys that do not fit the attention") }
        guard let lattice = part.tokens else { return }
        guard let attention = network.attention, part.norm == attention + 1, lattice.stride > 0
        else { throw misfit("asks for tokens that do not exist") }
    }
}
