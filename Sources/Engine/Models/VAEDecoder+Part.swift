extension VAEDecoder {
    /// Decodes a tile as a part of its picture.
    ///
    /// What a tile has beside it is dropped as soon as nothing that is still to come sees it: where a
    /// picture is largest, hardly anything is computed twice.
    ///
    /// - Parameters:
    ///   - latent: `[1, height, width, latentChannels]`, the tile and its margins, not scaled
    ///   - part: which norms and tokens are asked for
    ///   - course: heeded by the group norms
    ///   - keys: `[1, tokens, width]`, what the attention's keys and values are made of; nil takes
    ///     the latent's own
    ///   - reach: `VAEConfig.decoderReach`
    ///   - cancellation: heeded between blocks
    /// - Returns: `[1, rows, columns, 3]`, or the tokens; nil where only norms were asked for
    /// - Throws: `ComputationCancelled`
    func part(
        _ latent: Activation,
        _ part: PicturePart,
        course: NormCourse,
        keys: Activation?,
        reach: [Int],
        _ cancellation: Cancellation
    ) throws(ComputationCancelled) -> Activation? {
        let isDone = { part.norms > 0 && course.isDone }
        var tile = Framed(
            convIn(postQuant.map { $0(latent) } ?? latent),
            part.margins,
            course,
            convIn.backend
        )
        mid.before.replace(&tile.x)
        var tokens: Activation?
        if let lattice = part.tokens {
            let core = tile.core
            let places = lattice.places(height: core.rows.count, width: core.columns.count)
            tokens = convIn.backend.pick(
                tile.x,
                rows: places.rows.map { core.rows.lowerBound + $0 },
                columns: places.columns.map { core.columns.lowerBound + $0 }
            )
        }
        if isDone() { return tokens }
        if let attention = mid.attention {
            // The norm is measured whether or not the attention is still wanted.
            var normed = tile
            normed.x = attention.norm(tile.x)
            if isDone() { return tokens }
            tile.trim(to: 2 + reach[0])
            normed.trim(to: 2 + reach[0])
            tile.x = attention.mix(tile.x, normed.x, keys: keys, by: course.last)
        }
        mid.after.replace(&tile.x)
        for (level, block) in up.enumerated() {
            tile.trim(to: reach[level])
            for resnet in block.resnets {
                if isDone() { return tokens }
                try cancellation.check()
                resnet.replace(&tile.x)
            }
            if let upsample = block.upsample {
                tile.trim(to: (reach[level + 1] + 2) / 2)
                tile.double(by: upsample)
            }
        }
        if isDone() { return tokens }
        tile.trim(to: 1)
        tile.x = normOut(tile.x, then: .silu, overwriting: true)
        if part.norms > 0 { return tokens }
        tile.x = convOut(tile.x)
        tile.trim(to: 0)
        return tile.x
    }
}

extension VAEAttention {
    /// Adds to every pixel what it attends to.
    ///
    /// - Parameters:
    ///   - x: `[1, height, width, channels]`
    ///   - normed: the same after the norm
    ///   - keys: `[1, tokens, channels]`, before the norm; nil takes the pixels of `x`
    ///   - moments: what the norm normalises by
    /// - Returns: `[1, height, width, channels]`
    func mix(
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

/// An activation of a tile, with what it has beside it, at the resolution of the moment.
private struct Framed {
    var x: Activation
    private(set) var margins: PicturePart.Margins
    private let course: NormCourse
    private let backend: any Backend

    init(
        _ x: Activation,
        _ margins: PicturePart.Margins,
        _ course: NormCourse,
        _ backend: any Backend
    ) {
        (self.x, self.margins, self.course, self.backend) = (x, margins, course, backend)
        course.region = core
    }

    var core: Region { margins.core(height: x.shape[1], width: x.shape[2]) }

    /// Leaves at most `most` rows and columns on each side.
    mutating func trim(to most: Int) {
        let (old, core) = (margins, core)
        margins = PicturePart.Margins(
            top: min(old.top, most),
            left: min(old.left, most),
            bottom: min(old.bottom, most),
            right: min(old.right, most)
        )
        if margins != old {
            x = backend.pick(
                x,
                rows: Array(
                    core.rows.lowerBound - margins.top..<core.rows.upperBound + margins.bottom
                ),
                columns: Array(
                    core.columns.lowerBound - margins.left..<core.columns.upperBound + margins.right
                )
            )
        }
        course.region = self.core
    }

    /// Doubles the resolution.
    mutating func double(by upsample: Upsample) {
        x = upsample(x, height: 2 * x.shape[1], width: 2 * x.shape[2])
        margins = PicturePart.Margins(
            top: 2 * margins.top,
            left: 2 * margins.left,
            bottom: 2 * margins.bottom,
            right: 2 * margins.right
        )
        course.region = core
    }
}
