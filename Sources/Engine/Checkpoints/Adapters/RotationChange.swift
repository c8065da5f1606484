import CKernels

/// OFT and BOFT: blocks of a layer's outputs, or with PEFT of its inputs, are rotated.
///
/// A rotation is the Cayley transform of a skew-symmetric matrix Q, (I + Q)(I − Q)⁻¹; at a strength other than 1
/// it is mixed with the identity, as in LyCORIS. BOFT has several in a row, each with other groups of outputs.
struct RotationChange: WeightDelta {
    private let parts: AdapterParts
    private let extent: WeightExtent
    /// Number of rotations in a row, of blocks in each, and of rows in a block.
    private let stages: Int
    private let blocks: Int
    private let size: Int
    /// Maximum norm of Q over all blocks; 0 for no limit.
    private let constraint: Double
    /// How PEFT computes its rotations; nil for files that are not from PEFT.
    private let peft: AdapterSettings.Rotation?

    /// - Parameters:
    ///   - parts: `blocks` `[blocks, size, size]` (OFT) or `[stages, blocks, size, size]` (BOFT), or PEFT's `triangles`
    ///     `[blocks, size · (size − 1) / 2]`; `rescale`, a factor for each output
    ///   - extent: the weight's extent
    ///   - alpha: the constraint divided by the number of outputs
    ///   - peft: how PEFT computes its rotations
    /// - Throws: `InputError` if they do not fit
    init(
        _ parts: AdapterParts,
        _ extent: WeightExtent,
        alpha: Float?,
        peft: AdapterSettings.Rotation?
    ) throws(InputError) {
        let target = extent.shape
        constraint = Double(max(alpha ?? 0, 0)) * Double(extent.outputs)
        if parts.has(.triangles) {
            guard let peft else {
                throw InputError(
                    "\(parts.file.path): \(parts.names[.triangles] ?? "")",
                    "how this OFT is computed is not in the file",
                    fix: "Put PEFT's adapter_config.json beside it"
                )
            }
            let shape = parts.shape(.triangles)
            let size = shape.count == 2 ? (2...4096).first { $0 * ($0 - 1) / 2 == shape[1] } : nil
            guard let size, extent.columns % size == 0,
                shape[0] == (peft.sharesBlocks ? 1 : extent.columns / size)
            else { throw parts.misfit(.triangles, target) }
            (stages, blocks, self.size, self.peft) = (1, extent.columns / size, size, peft)
        } else {
            let shape = parts.shape(.blocks)
            guard shape.count == 3 || shape.count == 4, shape.allSatisfy({ $0 > 0 }),
                let size = shape.last, shape[shape.count - 2] == size
            else { throw parts.misfit(.blocks, target) }
            (stages, blocks) = (shape.count == 4 ? shape[0] : 1, shape[shape.count - 3])
            let isButterfly = shape.count == 4
            guard blocks.multipliedReportingOverflow(by: size) == (extent.outputs, false),
                !isButterfly || (size % 2 == 0 && stages < 32)
            else { throw parts.misfit(.blocks, target) }
            for stage in 0..<stages where isButterfly {
                guard extent.outputs % (size << stage) == 0 else {
                    throw parts.misfit(.blocks, target)
                }
            }
            (self.size, self.peft) = (size, nil)
        }
        guard !parts.has(.rescale) || parts.count(.rescale) == extent.outputs else {
            throw parts.misfit(.rescale, target)
        }
        (self.parts, self.extent) = (parts, extent)
    }

    /// All rotations, mixed with the identity: `[stages · blocks, size, size]`, in double precision.
    private func rotations(_ factor: Float) throws(InputError) -> [[Double]] {
        var skews: [[Double]] = []
        let area = size * size
        if parts.has(.triangles) {
            let values = try parts.tensor(.triangles).values
            for block in 0..<parts.shape(.triangles)[0] {
                var (skew, at) = ([Double](repeating: 0, count: area), block * (area - size) / 2)
                for i in 0..<size {
                    for j in i + 1..<max(size, i + 1) {
                        skew[i * size + j] = Double(values[at])
                        skew[j * size + i] = -Double(values[at])
                        at += 1
                    }
                }
                skews.append(skew)
            }
        } else {
            let values = try parts.tensor(.blocks).values
            for block in 0..<stages * blocks {
                var skew = [Double](repeating: 0, count: area)
                for i in 0..<size {
                    for j in 0..<size {
                        let (a, b) = (block * area + i * size + j, block * area + j * size + i)
                        skew[i * size + j] = Double(values[a]) - Double(values[b])
                    }
                }
                skews.append(skew)
            }
            let norm = skews.reduce(0) { $0 + $1.reduce(0) { $0 + $1 * $1 } }.squareRoot() + 1e-8
            if constraint > 0, norm > constraint {
                skews = skews.map { $0.map { $0 * constraint / norm } }
            }
        }
        return skews.map { skew in
            var rotation = peft?.rotation(skew, size) ?? Cayley.rotation(skew, size)
            if factor != 1 {
                for i in rotation.indices {
                    let one: Double = i / size == i % size ? 1 : 0
                    rotation[i] = Double(factor) * rotation[i] + (1 - Double(factor)) * one
                }
            }
            return rotation
        }
    }

    func add(_ factor: Float, to weight: inout Tensor) throws(InputError) {
        let rotations = try rotations(factor)
        if peft != nil {
            rotateInputs(rotations, &weight)
        } else if parts.shape(.blocks).count == 3 {
            // In LyCORIS, OFT uses the transpose of the matrix that BOFT uses.
            rotateOutputs(rotations[...], &weight, order: nil, isTransposed: true)
        } else {
            for stage in 0..<stages {
                let own = rotations[stage * blocks..<(stage + 1) * blocks]
                rotateOutputs(own, &weight, order: order(stage), isTransposed: false)
            }
        }
        guard parts.has(.rescale) else { return }
        let (scales, columns) = (try parts.tensor(.rescale).values, extent.columns)
        weight.withMutableFloats { weight in
            for i in weight.indices { weight[i] *= scales[i / columns] }
        }
    }

    /// The outputs in the order in which a stage of BOFT groups them into blocks.
    private func order(_ stage: Int) -> [Int] {
        let k = (size / 2) << stage
        return (0..<extent.outputs).map { at in
            // (c, g, k) becomes (c, k, g), where g has size 2.
            let (c, rest) = (at / (2 * k), at % (2 * k))
            return c * 2 * k + rest % 2 * k + rest / 2
        }
    }

    private func rotateOutputs(
        _ rotations: ArraySlice<[Double]>,
        _ weight: inout Tensor,
        order: [Int]?,
        isTransposed: Bool
    ) {
        let (columns, size) = (extent.columns, size)
        var rows = [Float](repeating: 0, count: size * columns)
        var packed = [Float](repeating: 0, count: tessera_packed_size(size, columns))
        weight.withMutableFloats { weight in
            for (block, rotation) in rotations.enumerated() {
                let own = (0..<size).map { order?[block * size + $0] ?? block * size + $0 }
                for (i, row) in own.enumerated() {
                    for j in 0..<columns { rows[i * columns + j] = weight[row * columns + j] }
                }
                tessera_pack(rows, 1, columns, size, columns, &packed)
                let matrix = (0..<size * size).map { i in
                    Float(isTransposed ? rotation[i % size * size + i / size] : rotation[i])
                }
                tessera_product(matrix, size, packed, &rows, columns, size, size, columns, 0)
                for (i, row) in own.enumerated() {
                    for j in 0..<columns { weight[row * columns + j] = rows[i * columns + j] }
                }
            }
        }
    }

    private func rotateInputs(_ rotations: [[Double]], _ weight: inout Tensor) {
        let (outputs, columns, size) = (extent.outputs, extent.columns, size)
        var packed = [Float](repeating: 0, count: tessera_packed_size(size, size))
        var out = [Float](repeating: 0, count: outputs * size)
        weight.withMutableFloats { weight in
            guard let start = weight.baseAddress else { return }
            for block in 0..<blocks {
                let rotation = rotations[block % rotations.count].map { Float($0) }
                tessera_pack(rotation, size, 1, size, size, &packed)
                let at = start + block * size
                tessera_product(at, columns, packed, &out, size, outputs, size, size, 0)
                for row in 0..<outputs {
                    for j in 0..<size { at[row * columns + j] = out[row * size + j] }
                }
            }
        }
    }

    func bound() throws(InputError) -> Double {
        // Infinite blocks have been rejected before; rows of an orthogonal matrix have a norm of 1.
        Double(size * stages) * (try parts.bound(.rescale))
    }
}

/// Rotations from skew-symmetric matrices, row-major.
enum Cayley {
    /// (I + Q)(I − Q)⁻¹, by Gaussian elimination: the two factors commute.
    static func rotation(_ skew: [Double], _ size: Int) -> [Double] {
        var (left, right) = (skew.map { -$0 }, skew)
        for i in 0..<size {
            left[i * size + i] += 1
            right[i * size + i] += 1
        }
        for pivot in 0..<size {
            // The symmetric part of I − Q is positive definite, so no pivot is 0; the largest is the most accurate.
            let best =
                (pivot..<size).max {
                    abs(left[$0 * size + pivot]) < abs(left[$1 * size + pivot])
                } ?? pivot
            if best != pivot {
                for j in 0..<size {
                    left.swapAt(best * size + j, pivot * size + j)
                    right.swapAt(best * size + j, pivot * size + j)
                }
            }
            let scale = 1 / left[pivot * size + pivot]
            for j in 0..<size {
                left[pivot * size + j] *= scale
                right[pivot * size + j] *= scale
            }
            for i in 0..<size where i != pivot {
                let factor = left[i * size + pivot]
                guard factor != 0 else { continue }
                for j in 0..<size {
                    left[i * size + j] -= factor * left[pivot * size + j]
                    right[i * size + j] -= factor * right[pivot * size + j]
                }
            }
        }
        return right
    }

    /// The same with a series of `terms` terms in place of the inverse, as PEFT computes it.
    static func series(_ skew: [Double], _ size: Int, terms: Int) -> [Double] {
        var result = [Double](repeating: 0, count: size * size)
        for i in 0..<size { result[i * size + i] = 1 }
        guard terms > 1 else { return result }
        var power = skew
        func add(_ factor: Double) {
            for i in result.indices { result[i] += factor * power[i] }
        }
        func raise() {
            var next = [Double](repeating: 0, count: size * size)
            for i in 0..<size {
                for k in 0..<size {
                    let value = power[i * size + k]
                    for j in 0..<size { next[i * size + j] += value * skew[k * size + j] }
                }
            }
            power = next
        }
        add(2)
        guard terms > 2 else { return result }
        raise()
        add(2)
        for _ in 3..<max(3, terms - 1) {
            raise()
            add(2)
        }
        raise()
        add(1)
        return result
    }
}
