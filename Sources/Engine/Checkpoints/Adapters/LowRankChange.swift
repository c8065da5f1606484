import CKernels

/// The product of two matrices, computed a block of rows at a time, so that the product stays in the cache.
struct LowRankProduct {
    let rows: Int
    private let rank: Int
    let columns: Int
    private let left: Tensor
    private let packed: Tensor

    static let rowsPerBlock = 24

    /// - Parameters:
    ///   - left: `[rows, rank]`
    ///   - right: `[rank, columns]`
    init(_ left: Tensor, _ right: Tensor) {
        let (rank, columns) = (right.shape[0], right.shape[1])
        precondition(left.shape[1] == rank, "\(left.shape) · \(right.shape)")
        (rows, self.rank, self.columns, self.left) = (left.shape[0], rank, columns, left)
        packed = Tensor(shape: [tessera_packed_size(rank, columns)]) { out in
            guard let to = out.baseAddress else { return }
            right.withFloats { right in
                guard let from = right.baseAddress else { return }
                tessera_pack(from, 1, columns, rank, columns, to)
            }
        }
    }

    /// Writes `count` rows, starting at `row`, to `out`.
    func write(_ row: Int, _ count: Int, to out: UnsafeMutablePointer<Float>) {
        left.withFloats { left in
            packed.withFloats { packed in
                guard let from = left.baseAddress, let panel = packed.baseAddress else { return }
                let start = from + row * rank
                tessera_product(start, rank, panel, out, columns, count, rank, columns, 0)
            }
        }
    }

    /// The whole product, `[rows, columns]`.
    var whole: Tensor {
        Tensor(shape: [rows, columns]) { out in
            if let out = out.baseAddress { write(0, rows, to: out) }
        }
    }

    /// Visits the rows in blocks: passes the index of the first element, and the block.
    func forEachBlock(_ body: (_ at: Int, _ block: UnsafeBufferPointer<Float>) -> Void) {
        var block = [Float](repeating: 0, count: min(rows, Self.rowsPerBlock) * columns)
        for row in stride(from: 0, to: rows, by: Self.rowsPerBlock) {
            let count = min(Self.rowsPerBlock, rows - row)
            block.withUnsafeMutableBufferPointer { block in
                guard let start = block.baseAddress else { return }
                write(row, count, to: start)
                body(
                    row * columns,
                    UnsafeBufferPointer(
                        UnsafeMutableBufferPointer(rebasing: block[..<(count * columns)])
                    )
                )
            }
        }
    }

    /// Combines a Tucker core and the matrix of the inputs into the right side of a product.
    ///
    /// - Parameters:
    ///   - core: `[left rank, rank, kernel…]`
    ///   - right: `[rank, inputs]`
    /// - Returns: `[left rank, inputs · kernel]`
    static func expanding(_ core: Tensor, _ right: Tensor) -> Tensor {
        let (outer, rank, inputs) = (core.shape[0], core.shape[1], right.shape[1])
        let kernel = core.shape.dropFirst(2).reduce(1, *)
        var out = Tensor(zeros: [outer, inputs * kernel])
        out.withMutableFloats { out in
            core.withFloats { core in
                right.withFloats { right in
                    for i in 0..<outer {
                        for j in 0..<rank {
                            for c in 0..<inputs {
                                let value = right[j * inputs + c]
                                let (to, from) = (
                                    (i * inputs + c) * kernel, (i * rank + j) * kernel
                                )
                                for k in 0..<kernel { out[to + k] += value * core[from + k] }
                            }
                        }
                    }
                }
            }
        }
        return out
    }
}

/// LoRA: `scale · up · down`, or with a Tucker core `scale · up · core · down`.
struct LowRankChange: WeightDelta {
    private let parts: AdapterParts
    private let extent: WeightExtent
    private let scale: Float
    private let rank: Int
    private let outer: Int

    /// - Parameters:
    ///   - parts: `down` `[rank, inputs, kernel…]`, `up` `[outputs, rank, 1…]`; with `mid` `[rank, rank, kernel…]`
    ///     a `down` of `[rank, inputs, 1…]`
    ///   - extent: the weight's extent
    ///   - scale: the factor of the product, as a function of the rank
    /// - Throws: `InputError` if they do not fit each other or the weight
    init(
        _ parts: AdapterParts,
        _ extent: WeightExtent,
        scale: (_ rank: Int?) -> Float
    ) throws(InputError) {
        let target = extent.shape
        guard let rank = parts.shape(.down).first, rank > 0 else {
            throw parts.misfit(.down, target)
        }
        let kernel = Array(target.dropFirst(2))
        var outer = rank
        if parts.has(.mid) {
            let core = parts.shape(.mid)
            guard core.count >= 2, let first = core.first, first > 0, core[1] == rank,
                parts.fits(.mid, [first, rank] + kernel)
            else { throw parts.misfit(.mid, target) }
            outer = first
            guard parts.fits(.down, [rank, extent.inputs]) else {
                throw parts.misfit(.down, target)
            }
        } else {
            guard parts.fits(.down, [rank, extent.inputs] + kernel) else {
                throw parts.misfit(.down, target)
            }
        }
        guard parts.fits(.up, [extent.outputs, outer]) else { throw parts.misfit(.up, target) }
        (self.parts, self.extent, self.rank, self.outer) = (parts, extent, rank, outer)
        self.scale = scale(rank)
    }

    func add(_ factor: Float, to weight: inout Tensor) throws(InputError) {
        let left = try parts.tensor(.up).reshaped([extent.outputs, outer])
        var right = try parts.tensor(.down)
        if parts.has(.mid) {
            let core = try parts.tensor(.mid)
            right = LowRankProduct.expanding(core, right.reshaped([rank, extent.inputs]))
        }
        let product = LowRankProduct(left, right.reshaped([outer, extent.columns]))
        let scale = factor * scale
        weight.withMutableFloats { weight in
            product.forEachBlock { at, block in
                for i in block.indices { weight[at + i] += scale * block[i] }
            }
        }
    }

    func bound() throws(InputError) -> Double {
        let ranks = parts.has(.mid) ? outer * rank : rank
        return Double(abs(scale)) * Double(ranks) * (try parts.bound(.up))
            * (try parts.bound(.down)) * (try parts.bound(.mid))
    }
}
