/// A tile with what it has beside it, at some place between two layers of a network.
///
/// What is beside it is dropped as soon as nothing that is still to come sees it: convolutions compute no
/// more than that, so that where a picture is largest, hardly anything is computed twice.
struct FramedTile {
    /// `[1, height, width, channels]`.
    private(set) var x: Activation
    /// In pixels of `x`.
    private(set) var margins: PicturePart.Margins
    /// What the residual block that it is in will add, and its margins.
    private(set) var kept: (x: Activation, margins: PicturePart.Margins)?
    /// Layers behind it, and norms among them.
    private(set) var layers = 0
    private(set) var norms = 0

    /// - Parameters:
    ///   - x: `[1, height, width, channels]`
    ///   - margins: in pixels of `x`
    init(_ x: Activation, _ margins: PicturePart.Margins) {
        (self.x, self.margins) = (x, margins)
    }

    /// One that is put together again.
    init(
        _ x: Activation,
        _ margins: PicturePart.Margins,
        kept: (x: Activation, margins: PicturePart.Margins)?,
        layers: Int,
        norms: Int
    ) {
        (self.x, self.margins, self.kept) = (x, margins, kept)
        (self.layers, self.norms) = (layers, norms)
    }

    /// The tile without its margins.
    var core: Region { margins.core(height: x.shape[1], width: x.shape[2]) }

    /// Goes through the next layer.
    ///
    /// - Parameters:
    ///   - layer: the next
    ///   - reach: pixels beyond the tile that the rest of the network sees, before the layer and after it
    ///   - moments: what its norm normalises by, for each group
    ///   - keys: `[1, tokens, channels]`, for the attention
    ///   - backend: of the layer
    mutating func pass(
        _ layer: TileLayer,
        reach: (before: Int, after: Int),
        by moments: [Moments],
        keys: Activation?,
        on backend: any Backend
    ) {
        trim(to: reach.before, backend)
        switch layer {
        case .pointwise(let linear): x = linear(x)
        case .convolution(let norm, let conv):
            if let norm { x = norm.normalise(x, by: moments, then: .silu, overwriting: true) }
            convolve(by: conv, reach.after)
        case .branch(let norm, let conv, let shortcut):
            kept = (shortcut?(x) ?? x, margins)
            x = norm.normalise(x, by: moments, then: .silu, overwriting: shortcut != nil)
            convolve(by: conv, reach.after)
        case .join(let norm, let conv):
            x = norm.normalise(x, by: moments, then: .silu, overwriting: true)
            convolve(by: conv, reach.after, plus: kept)
            kept = nil
        case .attention(let attention): x = attention.mix(x, keys: keys, by: moments)
        case .doubling(let upsample):
            x = upsample(x, height: 2 * x.shape[1], width: 2 * x.shape[2])
            margins = margins.map { 2 * $0 }
            trim(to: reach.after, backend)
        case .halving(let downsample):
            precondition(
                margins.map { $0 % 2 } == .none && x.shape[1] % 2 == 0 && x.shape[2] % 2 == 0,
                "\(x.shape) with \(margins)"
            )
            x = downsample(x)
            margins = margins.map { $0 / 2 }
        }
        layers += 1
        if layer.norm != nil { norms += 1 }
    }

    /// Convolves. Where there is more beside the tile than is seen afterwards the outermost pixels are not
    /// computed; elsewhere, which includes the edges of the picture, there is padding.
    private mutating func convolve(
        by conv: Conv2d,
        _ reach: Int,
        plus kept: (x: Activation, margins: PicturePart.Margins)? = nil
    ) {
        let padding = margins.map { $0 > reach ? 0 : 1 }
        margins = margins.map { $0 > reach ? $0 - 1 : $0 }
        x = conv.backend.conv2d(
            x,
            conv.weights,
            padding: Padding(
                top: padding.top,
                left: padding.left,
                bottom: padding.bottom,
                right: padding.right
            ),
            residual: kept.map { Self.trimmed($0.x, $0.margins, to: margins, conv.backend) }
        )
    }

    /// Leaves at most `most` rows and columns on each side.
    private mutating func trim(to most: Int, _ backend: any Backend) {
        let old = margins
        margins = old.map { min($0, most) }
        x = Self.trimmed(x, old, to: margins, backend)
    }

    /// What is left of a tile with fewer margins.
    private static func trimmed(
        _ x: Activation,
        _ old: PicturePart.Margins,
        to new: PicturePart.Margins,
        _ backend: any Backend
    ) -> Activation {
        guard old != new else { return x }
        let (height, width) = (x.shape[1], x.shape[2])
        return backend.pick(
            x,
            rows: Array(old.top - new.top..<height - old.bottom + new.bottom),
            columns: Array(old.left - new.left..<width - old.right + new.right)
        )
    }
}

extension PicturePart.Margins {
    /// Every side changed alike.
    func map(_ change: (Int) -> Int) -> Self {
        Self(top: change(top), left: change(left), bottom: change(bottom), right: change(right))
    }
}
