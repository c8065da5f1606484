import CKernels

/// What one LoRA adds to one weight, `scale · up · down`, computed when the weight is read.
struct LoRAChange: Sendable {
    private let file: SafeTensors
    private let down: String
    private let up: String
    private let scale: Float
    /// Rows of the weight as a matrix, the LoRA's rank, and columns of the weight.
    private let rows: Int
    private let rank: Int
    private let columns: Int

    /// Checks the shapes.
    ///
    /// - Parameters:
    ///   - file: the LoRA's
    ///   - down: name of the tensor `[rank, inputs, kernel…]`
    ///   - up: name of the tensor `[outputs, rank, 1…]`
    ///   - target: shape of the weight, `[outputs, inputs, kernel…]`
    ///   - scale: the factor of the product, as a function of the rank
    /// - Throws: `InputError` when they do not fit each other or the weight
    init(
        file: SafeTensors,
        down: String,
        up: String,
        target: [Int],
        scale: (_ rank: Int) -> Float
    ) throws(InputError) {
        func misfit(_ name: String, _ shape: [Int]) -> InputError {
            InputError(
                "\(file.path): \(name)",
                "it is \(shape), which does not fit a weight of \(target)",
                fix: "Use a LoRA that was made for this kind of model"
            )
        }
        let (first, second) = (file.info(down)?.shape ?? [], file.info(up)?.shape ?? [])
        guard let rows = target.first, target.count >= 2, rows > 0, let rank = first.first,
            rank > 0
        else { throw misfit(down, first) }
        let columns = target.dropFirst().reduce(1, *)
        guard columns > 0 else { throw misfit(down, first) }
        // A 1 × 1 convolution may be stored as a matrix, and a matrix as a 1 × 1 convolution.
        let inner = Array(first.dropFirst())
        let wanted = Array(target.dropFirst())
        guard Self.trimmed(inner) == Self.trimmed(wanted) else { throw misfit(down, first) }
        guard Self.trimmed(second) == Self.trimmed([rows, rank]), second.first == rows else {
            throw misfit(up, second)
        }
        let scale = scale(rank)
        guard scale.isFinite else {
            throw InputError(
                "\(file.path): \(down)",
                "its alpha is out of range",
                fix: "Fetch the file again"
            )
        }
        self.file = file
        (self.down, self.up) = (down, up)
        (self.rows, self.rank, self.columns) = (rows, rank, columns)
        self.scale = scale
    }

    /// A shape without trailing ones, beyond its first axis.
    private static func trimmed(_ shape: [Int]) -> ArraySlice<Int> {
        var shape = shape[...]
        while shape.count > 1, shape.last == 1 { shape.removeLast() }
        return shape
    }

    /// Adds the LoRA's change to the weight.
    ///
    /// - Throws: `InputError` when a matrix is not of a float type
    func add(to weight: inout Tensor) throws(InputError) {
        precondition(weight.count == rows * columns, "\(weight.shape) for \(rows) × \(columns)")
        let left = try file.tensor(up)
        let right = try file.tensor(down).reshaped([rank, columns])
        let packed = Tensor(shape: [tessera_packed_size(rank, columns)]) { out in
            guard let to = out.baseAddress else { return }
            right.withFloats { right in
                guard let from = right.baseAddress else { return }
                tessera_pack(from, 1, columns, rank, columns, to)
            }
        }
        // Some rows at a time, so that the product stays in the cache.
        let step = min(rows, Self.rowsPerBlock)
        var block = [Float](repeating: 0, count: step * columns)
        weight.withMutableFloats { weight in
            left.withFloats { left in
                packed.withFloats { packed in
                    guard let from = left.baseAddress, let panel = packed.baseAddress else {
                        return
                    }
                    for row in stride(from: 0, to: rows, by: step) {
                        let count = min(step, rows - row)
                        tessera_product(
                            from + row * rank,
                            rank,
                            panel,
                            &block,
                            columns,
                            count,
                            rank,
                            columns,
                            0
                        )
                        let at = row * columns
                        for i in 0..<count * columns { weight[at + i] += scale * block[i] }
                    }
                }
            }
        }
    }

    private static let rowsPerBlock = 24
}
