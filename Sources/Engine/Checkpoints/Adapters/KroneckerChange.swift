/// LoKr: `scale · w1 ⊗ w2`, each stored in full or as a product of two matrices; the second may have a Tucker core.
struct KroneckerChange: WeightDelta {
    private let parts: AdapterParts
    private let extent: WeightExtent
    private let scale: Float
    /// Rows and columns of the first factor, and of the second without its kernel.
    private let first: (rows: Int, columns: Int)
    private let second: (rows: Int, columns: Int)

    /// - Parameters:
    ///   - parts: `w1` `[a, c]` or `[a, rank]` · `[rank, c]`; `w2` `[b, d, kernel…]` or `[b, rank]` · `[rank, d · kernel]`,
    ///     or with a core `[rank, rank, kernel…]` `[rank, b]` and `[rank, d]`; a · b outputs and c · d inputs
    ///   - extent: the weight's extent
    ///   - scale: the factor of the product, as a function of the rank, which is nil if both are stored in full
    /// - Throws: `InputError` if they do not fit each other or the weight
    init(
        _ parts: AdapterParts,
        _ extent: WeightExtent,
        scale: (_ rank: Int?) -> Float
    ) throws(InputError) {
        let target = extent.shape
        func axis(_ role: AdapterRole, _ i: Int) throws(InputError) -> Int {
            let shape = parts.shape(role)
            guard shape.count > i, shape[i] > 0 else { throw parts.misfit(role, target) }
            return shape[i]
        }
        if parts.has(.lokrW1) {
            first = (try axis(.lokrW1, 0), try axis(.lokrW1, 1))
            guard parts.fits(.lokrW1, [first.rows, first.columns]) else {
                throw parts.misfit(.lokrW1, target)
            }
        } else {
            first = (try axis(.lokrW1A, 0), try axis(.lokrW1B, 1))
            let rank = try axis(.lokrW1B, 0)
            guard parts.fits(.lokrW1A, [first.rows, rank]) else {
                throw parts.misfit(.lokrW1A, target)
            }
            guard parts.fits(.lokrW1B, [rank, first.columns]) else {
                throw parts.misfit(.lokrW1B, target)
            }
        }
        let kernel = target.dropFirst(2)
        if parts.has(.lokrW2) {
            second = (try axis(.lokrW2, 0), try axis(.lokrW2, 1))
            guard parts.fits(.lokrW2, [second.rows, second.columns] + kernel) else {
                throw parts.misfit(.lokrW2, target)
            }
        } else {
            let rank = try axis(.lokrW2B, 0)
            if parts.has(.lokrT2) {
                second = (try axis(.lokrW2A, 1), try axis(.lokrW2B, 1))
                guard parts.fits(.lokrT2, [rank, rank] + kernel) else {
                    throw parts.misfit(.lokrT2, target)
                }
                guard parts.fits(.lokrW2A, [rank, second.rows]) else {
                    throw parts.misfit(.lokrW2A, target)
                }
                guard parts.fits(.lokrW2B, [rank, second.columns]) else {
                    throw parts.misfit(.lokrW2B, target)
                }
            } else {
                let width = parts.count(.lokrW2B) / rank
                guard width > 0, width % extent.kernel == 0 else {
                    throw parts.misfit(.lokrW2B, target)
                }
                second = (try axis(.lokrW2A, 0), width / extent.kernel)
                guard parts.fits(.lokrW2A, [second.rows, rank]) else {
                    throw parts.misfit(.lokrW2A, target)
                }
            }
        }
        let (rows, columns) = (
            first.rows.multipliedReportingOverflow(by: second.rows),
            first.columns.multipliedReportingOverflow(by: second.columns)
        )
        guard rows == (extent.outputs, false), columns == (extent.inputs, false) else {
            throw parts.misfit(parts.has(.lokrW2) ? .lokrW2 : .lokrW2A, target)
        }
        (self.parts, self.extent) = (parts, extent)
        self.scale = scale(parts.shape(.lokrW2B).first ?? parts.shape(.lokrW1B).first)
    }

    private func firstFactor() throws(InputError) -> Tensor {
        if parts.has(.lokrW1) { return try parts.tensor(.lokrW1) }
        let rank = parts.shape(.lokrW1B)[0]
        return LowRankProduct(
            try parts.tensor(.lokrW1A).reshaped([first.rows, rank]),
            try parts.tensor(.lokrW1B).reshaped([rank, first.columns])
        ).whole
    }

    private func secondFactor() throws(InputError) -> Tensor {
        if parts.has(.lokrW2) { return try parts.tensor(.lokrW2) }
        let rank = parts.shape(.lokrW2B)[0]
        let (a, b) = (try parts.tensor(.lokrW2A), try parts.tensor(.lokrW2B))
        guard parts.has(.lokrT2) else {
            return LowRankProduct(
                a.reshaped([second.rows, rank]),
                b.reshaped([rank, second.columns * extent.kernel])
            ).whole
        }
        return LowRankProduct(
            a.reshaped([rank, second.rows]).transposed(),
            LowRankProduct.expanding(
                try parts.tensor(.lokrT2),
                b.reshaped([rank, second.columns])
            )
        ).whole
    }

    func add(_ factor: Float, to weight: inout Tensor) throws(InputError) {
        let (w1, w2) = (try firstFactor(), try secondFactor())
        let (scale, width) = (factor * scale, second.columns * extent.kernel)
        weight.withMutableFloats { weight in
            w1.withFloats { w1 in
                w2.withFloats { w2 in
                    for i in 0..<first.rows {
                        for p in 0..<second.rows {
                            let row = (i * second.rows + p) * extent.columns
                            for j in 0..<first.columns {
                                let value = scale * w1[i * first.columns + j]
                                let (to, from) = (row + j * width, p * width)
                                for q in 0..<width { weight[to + q] += value * w2[from + q] }
                            }
                        }
                    }
                }
            }
        }
    }

    func bound() throws(InputError) -> Double {
        var bound = Double(abs(scale))
        for role in [
            AdapterRole.lokrW1, .lokrW1A, .lokrW1B, .lokrW2, .lokrW2A, .lokrW2B, .lokrT2,
        ] { bound *= try parts.bound(role) }
        for role in [AdapterRole.lokrW1B, .lokrW2B, .lokrT2] where parts.has(role) {
            bound *= Double(parts.shape(role)[0])
        }
        return bound
    }
}
