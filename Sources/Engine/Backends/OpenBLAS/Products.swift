import CKernels

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
        let step = Self.outputsPerBlock
        let parts = (outputs + step - 1) / step
        matrix(weights.storage).withFloats { w, bias in
            forEachBlock(rows: rows, parts: parts) { row, count, part, _ in
                let first = part * step
                let width = min(step, outputs - first)
                let to = out + row * outputs + first
                tessera_product(
                    from + row * inputs,
                    inputs,
                    w + first * inputs,
                    to,
                    outputs,
                    count,
                    inputs,
                    width
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
            forEachBlock(rows: rows, parts: 1) { row, count, _, lane in
                let both = scratch(lane: lane, count * 2 * width)
                tessera_product(
                    from + row * inputs,
                    inputs,
                    w,
                    both,
                    2 * width,
                    count,
                    inputs,
                    2 * width
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
            forEachBlock(rows: n * pixels, parts: 1) { row, count, _, lane in
                let columns = scratch(lane: lane, count * depth)
                forEachPicture(row, count, pixels: pixels) { picture, first, at, count in
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
                        columns + (at - row) * depth
                    )
                }
                tessera_product(
                    columns,
                    depth,
                    w,
                    out + row * outputs,
                    outputs,
                    count,
                    depth,
                    outputs
                )
                forEachPicture(row, count, pixels: pixels) { picture, _, at, count in
                    tessera_finish(
                        out + at * outputs,
                        count,
                        outputs,
                        outputs,
                        bias,
                        perPicture.map { UnsafePointer($0 + picture * outputs) },
                        added.map { UnsafePointer($0 + at * outputs) },
                        outputs,
                        Nonlinearity.identity.rawValue
                    )
                }
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
        let rows = x.shape.dropLast().reduce(1, *)
        let (result, space) = make(x.shape.dropLast() + [outputs])
        guard let out = space.baseAddress else { preconditionFailure("no memory") }
        return (rows, result, out)
    }

    /// Calls `body` for blocks of rows of the whole batch, and for `parts` parts of each.
    private func forEachBlock(
        rows: Int,
        parts: Int,
        _ body: (_ row: Int, _ count: Int, _ part: Int, _ lane: Int) -> Void
    ) {
        let step = Self.rowsPerBlock
        threads.run((rows + step - 1) / step * parts) { index, lane in
            let row = index / parts * step
            body(row, min(step, rows - row), index % parts, lane)
        }
    }

    /// Splits a block of rows where one picture of the batch ends and the next begins; `first` counts
    /// from the beginning of the picture and `at` from that of the batch.
    private func forEachPicture(
        _ row: Int,
        _ count: Int,
        pixels: Int,
        _ body: (_ picture: Int, _ first: Int, _ at: Int, _ count: Int) -> Void
    ) {
        var at = row
        while at < row + count {
            let (picture, first) = (at / pixels, at % pixels)
            let own = min(pixels - first, row + count - at)
            body(picture, first, at, own)
            at += own
        }
    }
}
