import Engine

// What tiles are, on the wire.

extension CoordinatorMessage {
    /// A tile of a picture, to be computed as in the whole.
    package struct Part: Equatable, Sendable {
        package var part: PicturePart
        /// Digests of the tokens of the picture, in order.
        package var keys: [EmbeddingDigest]

        package init(_ part: PicturePart, keys: [EmbeddingDigest] = []) {
            (self.part, self.keys) = (part, keys)
        }
    }
}

extension CoordinatorMessage.Part {
    /// Embeddings that a part may name.
    package static let mostKeys = 8

    init(_ wire: WirePart) throws(FrameError) {
        let margins = wire.margins.map { Int($0) }
        guard margins.isEmpty || margins.count == 4 else { throw .field("part.margins") }
        guard wire.keys.count <= Self.mostKeys else { throw .field("part.keys") }
        var lattice: PicturePart.Lattice?
        if wire.hasTokens {
            guard wire.tokens.stride > 0 else { throw .field("part.tokens") }
            lattice = .init(
                stride: Int(wire.tokens.stride),
                firstRow: Int(wire.tokens.firstRow),
                firstColumn: Int(wire.tokens.firstColumn)
            )
        }
        var keys: [EmbeddingDigest] = []
        for data in wire.keys { keys.append(try EmbeddingDigest(wire: data, field: "part.keys")) }
        self.init(
            PicturePart(
                margins: margins.isEmpty
                    ? .none
                    : .init(
                        top: margins[0],
                        left: margins[1],
                        bottom: margins[2],
                        right: margins[3]
                    ),
                statistics: try [Moments](wire: wire.statistics, "part.statistics"),
                norms: Int(wire.norms),
                tokens: lattice,
                tile: wire.tile
            ),
            keys: keys
        )
    }
}

extension WirePart {
    init(_ value: CoordinatorMessage.Part) {
        self.init()
        let part = value.part
        if part.margins != .none {
            margins = [
                part.margins.top, part.margins.left, part.margins.bottom, part.margins.right,
            ]
            .map { UInt32($0) }
        }
        statistics = part.statistics.wire
        norms = UInt32(part.norms)
        tile = part.tile
        keys = value.keys.map(\.data)
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
