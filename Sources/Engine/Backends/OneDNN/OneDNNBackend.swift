import CKernels
import COneDNN

/// Matrix products and convolutions by oneDNN (most 3×3 convolutions by Winograd's method), channels-last, with weights
/// packed once and the following operation fused; float32, or bfloat16 with float32 sums.
///
/// With oneDNN's own threading, the bits of a result would depend on the number of threads and on the batch. So each
/// oneDNN operation computes a block of one picture in one thread, and our pool distributes the blocks.
package final class OneDNNBackend: HostBackend, Backend {
    /// Queries per block of attention.
    private static let queriesPerBlock = 96
    /// Maximum rows per block of a matrix product.
    static let rowsOfProduct = 256
    /// Number of bands that a picture is split into for a convolution, each of at least `minLines` lines.
    private static let bands = 8
    private static let minLines = 4
    /// The shape of band that a kernel's weights are packed for.
    private static func defaultBand(kernel: Int) -> Extents.Picture {
        Extents.Picture(
            height: 15 + kernel,
            width: 64,
            padding: Padding(top: 0, left: kernel / 2, bottom: 0, right: (kernel - 1) / 2)
        )
    }

    /// Maximum size of a band's lines after widening, in bytes.
    private static let roomOfBand = 4 << 20

    private let multiplication: Multiplication
    private var layouts: [Extents: Layout] = [:]
    private var operations: [Operation.Shape: Operation] = [:]

    /// Makes a backend that stores elements as `element`; for the other arguments see `HostBackend`.
    init(
        element: Element,
        _ multiplication: Multiplication,
        threads: Int,
        weights: any WeightMemory
    ) {
        self.multiplication = multiplication
        super.init(element: element, threads: threads, weights: weights)
    }

    private var isWidened: Bool { multiplication == .widened && element == .bfloat16 }

    /// Whether products multiply float32 values, whatever the stored type.
    var multipliesFloats: Bool { isWidened || element == .float32 }

    package func prepareLinear(
        inputs: Int,
        outputs: Int,
        hasBias: Bool,
        _ read: () throws -> Parameters
    ) throws -> LinearWeights {
        let usual = Extents.product(rows: 1, inputs: inputs, outputs: outputs)
        return LinearWeights(
            inputs: inputs,
            outputs: outputs,
            storage: try keep(usual, [outputs, inputs], hasBias: hasBias, read)
        )
    }

    package func prepareConv(
        inputs: Int,
        outputs: Int,
        kernel: Int,
        stride: Int,
        _ read: () throws -> Parameters
    ) throws -> ConvWeights {
        let storage =
            servesWinograd(inputs: inputs, outputs: outputs, kernel: kernel, stride: stride)
            ? try prepareWinograd(inputs: inputs, outputs: outputs, read)
            : try prepareDirect(inputs, outputs, kernel: kernel, stride: stride, read)
        return ConvWeights(
            inputs: inputs,
            outputs: outputs,
            kernel: kernel,
            stride: stride,
            storage: storage
        )
    }

    /// Stores the weights of a convolution that oneDNN computes.
    private func prepareDirect(
        _ inputs: Int,
        _ outputs: Int,
        kernel: Int,
        stride: Int,
        _ read: () throws -> Parameters
    ) throws -> KeptLayer {
        let usual = Extents.convolution(
            Self.defaultBand(kernel: kernel),
            inputs: inputs,
            outputs: outputs,
            kernel: kernel,
            stride: stride
        )
        return try keep(usual, [outputs, inputs, kernel, kernel], hasBias: true, read)
    }

    /// Stores weights of a given shape in the layout for the most common extents.
    private func keep(
        _ usual: Extents,
        _ shape: [Int],
        hasBias: Bool,
        _ read: () throws -> Parameters
    ) throws -> PackedWeights {
        let layout = layout(usual)
        let layer = try keep(layout.size, outputs: shape[0], hasBias: hasBias, read) {
            weight,
            memory in
            layout.pack(weight.reshaped(shape), into: memory)
        }
        return PackedWeights(layer, layout: layout)
    }

    package func linear(
        _ x: Activation,
        _ weights: LinearWeights,
        then f: Nonlinearity,
        with second: Operand?
    ) -> Activation {
        precondition(x.shape.last == weights.inputs, "\(x.shape) by \(weights)")
        let packed = packed(weights.storage)
        let rows = x.shape.dropFirst().dropLast().reduce(1, *)
        let result = make(x.shape.dropLast() + [weights.outputs])
        second?.check(shape: result.shape)
        let blocks = Bands(of: rows, limit: Self.rowsOfProduct).map { rows in
            Block(
                operation: operation(
                    .product(rows: rows.count, inputs: weights.inputs, outputs: weights.outputs),
                    packed,
                    function: f,
                    second: second
                ),
                from: rows.lowerBound * weights.inputs,
                to: rows.lowerBound * weights.outputs
            )
        }
        run(
            blocks,
            x,
            packed,
            second: second,
            pictures: (x.shape[0], rows * weights.inputs, rows * weights.outputs),
            into: result
        )
        return result
    }

    package func conv2d(
        _ x: Activation,
        _ weights: ConvWeights,
        padding: Padding,
        residual: Activation?
    ) -> Activation {
        let shape = weights.result(of: x.shape, padding: padding)
        let second = residual.map(Operand.plus)
        second?.check(shape: shape)
        let result = make(shape)
        if let kernels = weights.storage as? WinogradWeights {
            convolve(x, kernels, padding: padding, residual: residual, into: result)
            return result
        }
        let packed = packed(weights.storage)
        let (height, width) = (x.shape[1], x.shape[2])
        let (line, outLine) = (width * weights.inputs, shape[2] * weights.outputs)
        let maxLines = linesOfBand(height: shape[1], line: line)
        let blocks = Bands(of: shape[1], limit: maxLines).map { lines in
            // The input lines under the kernel; some may be padding.
            let first = lines.lowerBound * weights.stride - padding.top
            let end = (lines.upperBound - 1) * weights.stride - padding.top + weights.kernel
            let own = max(0, first)..<min(height, end)
            let above = own.lowerBound - first
            let band = Extents.Picture(
                height: own.count,
                width: width,
                padding: Padding(
                    top: above,
                    left: padding.left,
                    bottom: end - own.upperBound,
                    right: padding.right
                )
            )
            let operation = operation(
                .convolution(
                    band,
                    inputs: weights.inputs,
                    outputs: weights.outputs,
                    kernel: weights.kernel,
                    stride: weights.stride
                ),
                packed,
                function: .identity,
                second: second
            )
            return Block(
                operation: operation,
                from: own.lowerBound * line,
                to: lines.lowerBound * outLine
            )
        }
        run(
            blocks,
            x,
            packed,
            second: second,
            pictures: (x.shape[0], height * line, shape[1] * outLine),
            into: result
        )
        return result
    }

    /// Maximum lines per band of a convolution whose input has `line` elements per line. If weights are widened for
    /// every band, fewer and taller bands widen them less often, as long as their lines fit in a cache.
    private func linesOfBand(height: Int, line: Int) -> Int {
        let bands = isWidened ? Self.bands / 2 : Self.bands
        let even = (height + bands - 1) / bands
        let room = isWidened ? Self.roomOfBand / (line * MemoryLayout<Float>.stride) : even
        return max(Self.minLines, min(even, room))
    }

    package func attention(
        _ queries: Columns,
        _ keys: Columns,
        _ values: Columns,
        heads: Int,
        causal: Bool
    ) -> Activation {
        let (q, k, v) = AttentionShape.check(queries, keys, values, heads: heads)
        let (width, size) = (queries.count / heads, element.size)
        let kind = multiplication.kind(of: element)
        let result = make([q.batch, q.rows, queries.count])
        let (qs, ks, vs) = (pointer(queries), pointer(keys), pointer(values))
        let step = Self.queriesPerBlock
        let room = tessera_attend_scratch_size(step, width, kind)
        let own = tessera_packed_head_size(k.rows, width, kind)
        let packed = memory.take(q.batch * heads * own * MemoryLayout<Float>.stride)
        defer { withExtendedLifetime(packed) {} }
        let (out, head) = (pointer(result), packed.start.assumingMemoryBound(to: Float.self))
        threads.run(q.batch * heads) { index, _ in
            let (picture, column) = (index / heads, index % heads * width)
            tessera_pack_head(
                ks + (picture * k.rows * k.stride + column) * size,
                k.stride,
                vs + (picture * v.rows * v.stride + column) * size,
                v.stride,
                k.rows,
                width,
                head + index * own,
                kind
            )
        }
        let blocks = (q.rows + step - 1) / step
        threads.run(q.batch * heads * blocks) { index, lane in
            let (first, at) = (index % blocks * step, index / blocks)
            let (picture, column) = (at / heads, at % heads * width)
            let row = picture * q.rows + first
            tessera_attend(
                qs + (row * q.stride + column) * size,
                q.stride,
                head + at * own,
                out + (row * queries.count + column) * size,
                queries.count,
                min(step, q.rows - first),
                k.rows,
                width,
                causal ? first : -1,
                scratch(lane: lane, room),
                kind
            )
        }
        return result
    }

    // MARK: What the operations share

    private func pointer(_ columns: Columns) -> UnsafeMutableRawPointer {
        pointer(columns.activation) + columns.from * element.size
    }

    func packed(_ storage: AnyObject) -> PackedWeights {
        guard let packed = storage as? PackedWeights else {
            preconditionFailure("weights of another backend")
        }
        return packed
    }

    private func layout(_ extents: Extents) -> Layout {
        // The layout of a matrix does not depend on the number of rows.
        var key = extents
        if case .product(_, let inputs, let outputs) = extents {
            key = .product(rows: 1, inputs: inputs, outputs: outputs)
        }
        if let known = layouts[key] { return known }
        let new = Layout(key, element: element, multiplication)
        layouts[key] = new
        return new
    }

    func operation(
        _ extents: Extents,
        _ weights: PackedWeights,
        function: Nonlinearity,
        second: Operand?
    ) -> Operation {
        let key = Operation.Shape(
            extents: extents,
            hasBias: weights.bias != nil,
            function: function.rawValue,
            second: second.kind
        )
        if let known = operations[key] { return known }
        let new = Operation(key, layout: layout(extents))
        operations[key] = new
        return new
    }

    /// One block of every picture: the operation, and the offsets (in elements from the start of a
    /// picture) of its input and output.
    private struct Block {
        let operation: Operation
        let from: Int
        let to: Int
    }

    /// Computes every block of every picture; `pictures` holds the number of pictures and the elements per picture of
    /// the input and of the output.
    private func run(
        _ blocks: [Block],
        _ x: Activation,
        _ weights: PackedWeights,
        second: Operand?,
        pictures: (count: Int, from: Int, to: Int),
        into result: Activation
    ) {
        let (from, out, size) = (pointer(x), pointer(result), element.size)
        let other = second.map { UnsafeRawPointer(pointer($0.activation)) }
        let room = blocks.map(\.operation.scratchSize).max() ?? 0
        let floats = room / MemoryLayout<Float>.stride + 1
        let packed = blocks.map { weights.packed(for: $0.operation.layout) }
        threads.run(pictures.count * blocks.count) { index, lane in
            let block = blocks[index % blocks.count]
            let picture = index / blocks.count
            let to = (picture * pictures.to + block.to) * size
            block.operation.run(
                from + (picture * pictures.from + block.from) * size,
                packed[index % blocks.count],
                bias: weights.bias,
                second: other.map { $0 + to },
                into: out + to,
                scratch: scratch(lane: lane, floats)
            )
        }
    }
}

/// Splits rows `0 ..< count` into bands of at most `limit`, all of the same size except the last.
struct Bands: Sequence {
    private let count: Int
    private let step: Int

    init(of count: Int, limit: Int) {
        self.count = count
        // As even as possible, so that few shapes are compiled and no thread waits long for another.
        let bands = Swift.max(1, (count + limit - 1) / limit)
        step = Swift.max(1, (count + bands - 1) / bands)
    }

    func makeIterator() -> AnyIterator<Range<Int>> {
        var first = 0
        return AnyIterator {
            guard first < count else { return nil }
            defer { first += step }
            return first..<Swift.min(count, first + step)
        }
    }
}
