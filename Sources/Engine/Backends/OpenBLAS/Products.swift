import CKernels

/// Linear layers and convolutions.
extension OpenBLASBackend {
    package func linear(
        _ x: Activation,
        _ weights: LinearWeights,
        then f: Nonlinearity,
        with second: Operand?
    ) -> Activation {
        precondition(x.shape.last == weights.inputs, "\(x.shape) by \(weights)")
        let rows = x.shape.dropLast().reduce(1, *)
        let result = make(x.shape.dropLast() + [weights.outputs])
        second?.check(shape: result.shape)
        let (from, out, other) = (floats(x), floats(result), second.map { floats($0.activation) })
        let (inputs, outputs) = (weights.inputs, weights.outputs)
        let step = Self.outputsPerBlock
        let parts = (outputs + step - 1) / step
        let layer = layer(weights.storage)
        let (w, bias) = (layer.weights.assumingMemoryBound(to: Float.self), layer.bias)
        withExtendedLifetime(layer) {
            forEachBlock(rows: rows, parts: parts) { row, count, part, _ in
                let first = part * step
                let width = min(step, outputs - first)
                let at = row * outputs + first
                tessera_product(
                    from + row * inputs,
                    inputs,
                    w + first * inputs,
                    out + at,
                    outputs,
                    count,
                    inputs,
                    width,
                    0
                )
                tessera_finish(
                    out + at,
                    count,
                    width,
                    outputs,
                    bias.map { $0 + first },
                    other.map { UnsafePointer($0 + at) },
                    outputs,
                    f.rawValue,
                    second.kind
                )
            }
        }
        return result
    }

    package func panelOfGates(outputs: Int) -> Int { outputs }

    package func gated(_ x: Activation, _ panels: [GatedWeights]) -> Activation {
        precondition(panels.count == 1, "\(panels.count) panels")
        let open = linear(x, panels[0].gate, then: .gelu, with: nil)
        return linear(x, panels[0].value, then: .identity, with: .times(open))
    }

    package func conv2d(
        _ x: Activation,
        _ weights: ConvWeights,
        padding: Padding,
        residual: Activation?
    ) -> Activation {
        let shape = weights.result(of: x.shape, padding: padding)
        let (height, width, channels) = (x.shape[1], x.shape[2], x.shape[3])
        let (pixels, outputs) = (shape[1] * shape[2], weights.outputs)
        let (kernel, depth) = (weights.kernel, weights.kernel * weights.kernel * channels)
        let result = make(shape)
        let second = residual.map(Operand.plus)
        second?.check(shape: shape)
        let (from, out, other) = (floats(x), floats(result), residual.map(floats))
        let layer = layer(weights.storage)
        let (w, bias) = (layer.weights.assumingMemoryBound(to: Float.self), layer.bias)
        withExtendedLifetime(layer) {
            forEachBlock(rows: shape[0] * pixels, parts: 1) { row, count, _, lane in
                let columns = scratch(lane: lane, count * depth)
                forEachPicture(row, count, pixels: pixels) { picture, first, at, count in
                    tessera_im2col(
                        from + picture * height * width * channels,
                        height,
                        width,
                        channels,
                        kernel,
                        weights.stride,
                        padding.top,
                        padding.left,
                        shape[2],
                        first,
                        count,
                        columns + (at - row) * depth
                    )
                }
                let to = out + row * outputs
                tessera_product(columns, depth, w, to, outputs, count, depth, outputs, 0)
                tessera_finish(
                    to,
                    count,
                    outputs,
                    outputs,
                    bias,
                    other.map { UnsafePointer($0 + row * outputs) },
                    outputs,
                    Nonlinearity.identity.rawValue,
                    second.kind
                )
            }
        }
        return result
    }

    /// Calls `body` for every block of rows of the whole batch, `parts` times per block.
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

    /// Splits a block of rows at the boundaries between pictures of the batch; `first` counts rows from the start of
    /// the picture, `at` from the start of the batch.
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
