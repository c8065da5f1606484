/// A tile with its margins, between two layers of a network.
///
/// Margins are cropped as soon as no later layer depends on them, and convolutions do not compute what would be
/// cropped. So where a picture is largest, hardly anything is computed twice.
struct FramedTile {
    /// `[1, height, width, channels]`.
    private(set) var x: Activation
    /// Margins in pixels of `x`.
    private(set) var margins: PicturePart.Margins
    /// The input that the current residual block will add, and its margins.
    private(set) var residual: (x: Activation, margins: PicturePart.Margins)?
    /// Number of layers that the tile has passed, and of the norms among them.
    private(set) var layers = 0
    private(set) var norms = 0

    /// - Parameters:
    ///   - x: `[1, height, width, channels]`
    ///   - margins: in pixels of `x`
    init(_ x: Activation, _ margins: PicturePart.Margins) {
        (self.x, self.margins) = (x, margins)
    }

    /// Restores a tile that was stored.
    init(
        _ x: Activation,
        _ margins: PicturePart.Margins,
        residual: (x: Activation, margins: PicturePart.Margins)?,
        layers: Int,
        norms: Int
    ) {
        (self.x, self.margins, self.residual) = (x, margins, residual)
        (self.layers, self.norms) = (layers, norms)
    }

    /// The tile without its margins.
    var core: Region { margins.core(height: x.shape[1], width: x.shape[2]) }

    /// Applies the next layer.
    ///
    /// - Parameters:
    ///   - layer: the next layer
    ///   - reach: pixels around the tile that the rest of the network depends on, before and after the layer
    ///   - moments: moments of each group that the layer's norm normalises by
    ///   - keys: returns `[1, tokens, channels]`, for the attention
    ///   - backend: the layer's backend
    mutating func pass(
        _ layer: TileLayer,
        reach: (before: Int, after: Int),
        by moments: [Moments],
        keys: () -> Activation?,
        on backend: any Backend
    ) {
        trim(to: reach.before, backend)
        switch layer {
        case .pointwise(let linear): x = linear(x)
        case .convolution(let norm, let conv):
            if let norm { x = norm.normalise(x, by: moments, then: .silu, overwriting: true) }
            convolve(by: conv, reach.after)
        case .branch(let norm, let conv, let shortcut):
            residual = (shortcut?(x) ?? x, margins)
            x = norm.normalise(x, by: moments, then: .silu, overwriting: shortcut != nil)
            convolve(by: conv, reach.after)
        case .join(let norm, let conv):
            x = norm.normalise(x, by: moments, then: .silu, overwriting: true)
            convolve(by: conv, reach.after, plus: residual)
            residual = nil
        case .attention(let attention): x = attention.mix(x, keys: keys(), by: moments)
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

    /// Applies a convolution. A side whose margin is wider than the later layers need is not padded, so its margin
    /// shrinks by one pixel; the other sides, including the edges of the picture, are padded.
    private mutating func convolve(
        by conv: Conv2d,
        _ reach: Int,
        plus residual: (x: Activation, margins: PicturePart.Margins)? = nil
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
            residual: residual.map { Self.trimmed($0.x, $0.margins, to: margins, conv.backend) }
        )
    }

    /// Crops the margins to at most `limit` rows and columns on each side.
    private mutating func trim(to limit: Int, _ backend: any Backend) {
        let old = margins
        margins = old.map { min($0, limit) }
        x = Self.trimmed(x, old, to: margins, backend)
    }

    /// Crops a tile to smaller margins.
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
    /// Applies the same change to every side.
    func map(_ change: (Int) -> Int) -> Self {
        Self(top: change(top), left: change(left), bottom: change(bottom), right: change(right))
    }
}
