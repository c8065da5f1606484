/// LoHa: `scale · (w1a · w1b) ⊙ (w2a · w2b)`, where each half may have a Tucker core.
struct HadamardChange: WeightDelta {
    private let parts: AdapterParts
    private let extent: WeightExtent
    private let scale: Float
    private let ranks: [Int]

    private static let halves: [(a: AdapterRole, b: AdapterRole, core: AdapterRole)] = [
        (.hadaW1A, .hadaW1B, .hadaT1), (.hadaW2A, .hadaW2B, .hadaT2),
    ]

    /// - Parameters:
    ///   - parts: `a` `[outputs, rank]` and `b` `[rank, inputs · kernel]`; with a core `[rank, rank, kernel…]`
    ///     they are `[rank, outputs]` and `[rank, inputs]`
    ///   - extent: the weight's extent
    ///   - scale: the factor of the product, as a function of the rank
    /// - Throws: `InputError` if they do not fit each other or the weight
    init(
        _ parts: AdapterParts,
        _ extent: WeightExtent,
        scale: (_ rank: Int?) -> Float
    ) throws(InputError) {
        var ranks: [Int] = []
        for half in Self.halves {
            guard let rank = parts.shape(half.b).first, rank > 0 else {
                throw parts.misfit(half.b, extent.shape)
            }
            ranks.append(rank)
            if parts.has(half.core) {
                guard parts.fits(half.core, [rank, rank] + extent.shape.dropFirst(2)) else {
                    throw parts.misfit(half.core, extent.shape)
                }
            }
            let columns = parts.has(half.core) ? extent.inputs : extent.columns
            let a = parts.has(half.core) ? [rank, extent.outputs] : [extent.outputs, rank]
            guard parts.fits(half.a, a) else { throw parts.misfit(half.a, extent.shape) }
            guard parts.count(half.b) == rank * columns else {
                throw parts.misfit(half.b, extent.shape)
            }
        }
        (self.parts, self.extent, self.ranks) = (parts, extent, ranks)
        self.scale = scale(ranks[0])
    }

    private func product(_ half: Int) throws(InputError) -> LowRankProduct {
        let (roles, rank) = (Self.halves[half], ranks[half])
        let (a, b) = (try parts.tensor(roles.a), try parts.tensor(roles.b))
        guard parts.has(roles.core) else {
            return LowRankProduct(
                a.reshaped([extent.outputs, rank]),
                b.reshaped([rank, extent.columns])
            )
        }
        return LowRankProduct(
            a.reshaped([rank, extent.outputs]).transposed(),
            LowRankProduct.expanding(
                try parts.tensor(roles.core),
                b.reshaped([rank, extent.inputs])
            )
        )
    }

    func add(_ factor: Float, to weight: inout Tensor) throws(InputError) {
        let (first, second) = (try product(0), try product(1))
        let (scale, columns) = (factor * scale, extent.columns)
        let rows = min(extent.outputs, LowRankProduct.rowsPerBlock)
        var other = [Float](repeating: 0, count: rows * columns)
        weight.withMutableFloats { weight in
            first.forEachBlock { at, block in
                other.withUnsafeMutableBufferPointer { other in
                    guard let start = other.baseAddress else { return }
                    second.write(at / columns, block.count / columns, to: start)
                    for i in block.indices { weight[at + i] += scale * (block[i] * other[i]) }
                }
            }
        }
    }

    func bound() throws(InputError) -> Double {
        var bound = Double(abs(scale))
        for (half, rank) in zip(Self.halves, ranks) {
            let core = parts.has(half.core)
            bound *=
                Double(core ? rank * rank : rank) * (try parts.bound(half.a))
                * (try parts.bound(half.b)) * (try parts.bound(half.core))
        }
        return bound
    }
}
