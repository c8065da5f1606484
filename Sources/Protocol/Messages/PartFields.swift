import Engine

// Encoding of tiles on the wire.

extension PicturePart {
    init(_ wire: WirePart) throws(FrameError) {
        let margins = wire.margins.map { Int($0) }
        guard margins.isEmpty || margins.count == 4 else { throw .field("part.margins") }
        guard wire.attention.count <= Self.maxAttention else { throw .field("part.attention") }
        var lattice: PicturePart.Lattice?
        if wire.hasTokens {
            guard wire.tokens.stride > 0 else { throw .field("part.tokens") }
            lattice = .init(
                stride: Int(wire.tokens.stride),
                firstRow: Int(wire.tokens.firstRow),
                firstColumn: Int(wire.tokens.firstColumn)
            )
        }
        var attention: [EmbeddingDigest] = []
        for data in wire.attention {
            attention.append(try EmbeddingDigest(wire: data, field: "part.attention"))
        }
        self.init(
            margins: margins.isEmpty
                ? .none
                : .init(
                    top: margins[0],
                    left: margins[1],
                    bottom: margins[2],
                    right: margins[3]
                ),
            statistics: try [Moments](wire: wire.statistics, "part.statistics"),
            norm: Int(wire.norm),
            tokens: lattice,
            tile: wire.picture == 0
                ? nil : TileID(picture: wire.picture, index: Int(wire.tile)),
            attention: attention
        )
    }
}

extension WirePart {
    init(_ part: PicturePart) {
        self.init()
        if part.margins != .none {
            margins = [
                part.margins.top, part.margins.left, part.margins.bottom, part.margins.right,
            ]
            .map { UInt32($0) }
        }
        statistics = part.statistics.wire
        norm = UInt32(part.norm)
        if let id = part.tile { (picture, tile) = (id.picture, UInt32(id.index)) }
        attention = part.attention.map(\.data)
        if let lattice = part.tokens {
            tokens = .with {
                $0.stride = UInt32(lattice.stride)
                $0.firstRow = UInt32(lattice.firstRow)
                $0.firstColumn = UInt32(lattice.firstColumn)
            }
        }
    }
}

extension [Moments] {
    /// Reads pairs of mean and variance.
    init(wire: [Double], _ field: String) throws(FrameError) {
        guard wire.count % 2 == 0, wire.allSatisfy(\.isFinite) else { throw .field(field) }
        self = stride(from: 0, to: wire.count, by: 2).map {
            Moments(mean: wire[$0], variance: wire[$0 + 1])
        }
    }

    var wire: [Double] { flatMap { [$0.mean, $0.variance] } }
}
