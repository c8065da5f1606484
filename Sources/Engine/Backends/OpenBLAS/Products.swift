import CKernels
import COpenBLAS

/// Linear layers and convolutions.
extension OpenBLASBackend {
    package func linear(
        _ x: Activation,
        _ weights: LinearWeights,
        then f: Nonlinearity,
        residual: Activation?
    ) -> Activation {
        let (rows, result, out) = prepare(x, weights, outputs: weights.outputs)
        if let residual {
            precondition(residual.shape == result.shape, "\(residual.shape) vs \(result.shape)")
        }
        let (from, added) = (pointer(x), residual.map(pointer))
        let (inputs, outputs) = (weights.inputs, weights.outputs)
        let step = Self.columnsPerBlock
        let parts = (outputs + step - 1) / step
        matrix(weights.storage).withFloats { w, bias in
            forEachBlock(batch: x.shape[0], rows: rows, parts: parts) { row, count, part, _ in
                let first = part * step
                let width = min(step, outputs - first)
                let to = out + row * outputs + first
                multiply(
                    from + row * inputs,
                    w + first,
                    to,
                    rows: count,
                    columns: width,
                    depth: inputs,
                    strides: (inputs, outputs, outputs)
                )
                tessera_finish(
                    to,
                    count,
                    width,
                    outputs,
                    bias.map { $0 + first },
                    nil,
                    added.map { UnsafePointer($0 + row * outputs + first) },
                    outputs,
                    f.rawValue
                )
            }
        }
        return result
    }

    package func gatedLinear(_ x: Activation, _ weights: LinearWeights) -> Activation {
        let width = weights.outputs / 2
        let (rows, result, out) = prepare(x, weights, outputs: width)
        let from = pointer(x)
        let inputs = weights.inputs
        matrix(weights.storage).withFloats { w, bias in
            guard let bias else { preconditionFailure("a gated layer without bias") }
            forEachBlock(batch: x.shape[0], rows: rows, parts: 1) { row, count, _, lane in
                let both = scratch(lane: lane, count * 2 * width)
                multiply(
                    from + row * inputs,
                    w,
                    both,
                    rows: count,
                    columns: 2 * width,
                    depth: inputs,
                    strides: (inputs, 2 * width, 2 * width)
                )
                tessera_geglu(both, bias, out + row * width, count, width)
            }
        }
        return result
    }

    package func conv2d(
        _ x: Activation,
        _ weights: ConvWeights,
        stride: Int,
        padding: Padding,
        channelBias: Activation?,
        residual: Activation?
    ) -> Activation {
        precondition(x.shape.count == 4 && x.shape[3] == weights.inputs, "\(x.shape) by \(weights)")
        let (n, height, width, channels) = (x.shape[0], x.shape[1], x.shape[2], x.shape[3])
        let kernel = weights.kernel
        let outHeight = (height + padding.top + padding.bottom - kernel) / stride + 1
        let outWidth = (width + padding.left + padding.right - kernel) / stride + 1
        let (pixels, outputs) = (outHeight * outWidth, weights.outputs)
        let depth = kernel * kernel * channels
        let (result, space) = make([n, outHeight, outWidth, outputs])
        if let channelBias {
            precondition(channelBias.shape == [n, outputs], "\(channelBias.shape)")
        }
        if let residual {
            precondition(residual.shape == result.shape, "\(residual.shape) vs \(result.shape)")
        }
        guard let out = space.baseAddress else { return result }
        let from = pointer(x)
        let (perPicture, added) = (channelBias.map(pointer), residual.map(pointer))
        matrix(weights.storage).withFloats { w, bias in
            forEachBlock(batch: n, rows: pixels, parts: 1) { row, count, _, lane in
                let (picture, first) = (row / pixels, row % pixels)
                let columns = scratch(lane: lane, count * depth)
                tessera_im2col(
                    from + picture * height * width * channels,
                    height,
                    width,
                    channels,
                    kernel,
                    stride,
                    padding.top,
                    padding.left,
                    outWidth,
                    first,
                    count,
                    columns
                )
                let to = out + row * outputs
                multiply(
                    columns,
                    w,
                    to,
                    rows: count,
                    columns: outputs,
                    depth: depth,
                    strides: (depth, outputs, outputs)
                )
                tessera_finish(
                    to,
                    count,
                    outputs,
                    outputs,
                    bias,
                    perPicture.map { UnsafePointer($0 + picture * outputs) },
                    added.map { UnsafePointer($0 + row * outputs) },
                    outputs,
                    Nonlinearity.identity.rawValue
                )
            }
        }
        return result
    }

    /// Checks the shapes of a linear layer and makes room for its result.
    private func prepare(
        _ x: Activation,
        _ weights: LinearWeights,
        outputs: Int
    ) -> (rows: Int, result: Activation, out: UnsafeMutablePointer<Float>) {
        precondition(x.shape.last == weights.inputs, "\(x.shape) by \(weights)")
        let rows = x.shape.dropFirst().dropLast().reduce(1, *)
        let (result, space) = make(x.shape.dropLast() + [outputs])
        guard let out = space.baseAddress else { preconditionFailure("no memory") }
        return (rows, result, out)
    }

    /// Calls `body` for blocks of rows that never cross from one picture of the batch to another,
    /// and for `parts` parts of each; `row` counts from the beginning of the batch.
    private func forEachBlock(
        batch: Int,
        rows: Int,
        parts: Int,
        _ body: (_ row: Int, _ count: Int, _ part: Int, _ lane: Int) -> Void
    ) {
        let blocks = (rows + Self.rowsPerBlock - 1) / Self.rowsPerBlock
        threads.run(batch * blocks * parts) { index, lane in
            let (block, part) = (index / parts, index % parts)
            let first = block % blocks * Self.rowsPerBlock
            let count = min(Self.rowsPerBlock, rows - first)
            body(block / blocks * rows + first, count, part, lane)
        }
    }

    /// `c = a · b`, row-major; `strides` are the row strides of a, b and c.
    func multiply(
        _ a: UnsafePointer<Float>,
        _ b: UnsafePointer<Float>,
        _ c: UnsafeMutablePointer<Float>,
        rows: Int,
        columns: Int,
        depth: Int,
        strides: (Int, Int, Int)
    ) {
        cblas_sgemm(
            CblasRowMajor,
            CblasNoTrans,
            CblasNoTrans,
            blasint(rows),
            blasint(columns),
            blasint(depth),
            1,
            a,
            blasint(strides.0),
            b,
            blasint(strides.1),
            0,
            c,
            blasint(strides.2)
        )
    }
}
