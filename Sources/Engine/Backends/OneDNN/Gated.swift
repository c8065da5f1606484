import CKernels

/// Gated layers: the values and gates of a block of rows and outputs stay in the L2 cache until they are multiplied.
extension OneDNNBackend {
    /// Maximum number of outputs per block.
    private static let maxOfBlock = 640

    package func panelOfGates(outputs: Int) -> Int {
        let panels = (outputs + Self.maxOfBlock - 1) / Self.maxOfBlock
        // A multiple of the number of outputs that oneDNN computes side by side.
        return ((outputs + panels - 1) / panels + 63) / 64 * 64
    }

    package func gated(_ x: Activation, _ panels: [GatedWeights]) -> Activation {
        let (inputs, size) = (panels[0].value.inputs, element.size)
        precondition(x.shape.last == inputs, "\(x.shape) by \(inputs)")
        let outputs = panels.reduce(0) { $0 + $1.outputs }
        let rows = x.shape.dropFirst().dropLast().reduce(1, *)
        let result = make(x.shape.dropLast() + [outputs])
        var first = 0
        let blocks = panels.flatMap { panel in
            defer { first += panel.outputs }
            return Bands(of: rows, limit: Self.rowsOfProduct).map { band in
                GatedBlock(
                    value: product(band.count, by: panel.value),
                    gate: product(band.count, by: panel.gate),
                    rows: band.count,
                    outputs: panel.outputs,
                    from: band.lowerBound * inputs * size,
                    to: (band.lowerBound * outputs + first) * size
                )
            }
        }
        let room = blocks.map { $0.scratchSize(of: element) }.max() ?? 0
        let (from, out) = (pointer(x), pointer(result))
        threads.run(x.shape[0] * blocks.count) { index, lane in
            let (picture, block) = (index / blocks.count, blocks[index % blocks.count])
            let input = from + picture * rows * inputs * size + block.from
            let values = UnsafeMutableRawPointer(scratch(lane: lane, room / 4))
            let gates = values + block.room(of: element)
            let rest = gates + block.room(of: element)
            block.value.run(input, into: values, scratch: rest)
            block.gate.run(input, into: gates, scratch: rest)
            let to = out + picture * rows * outputs * size + block.to
            tessera_gate(values, gates, block.rows, block.outputs, to, outputs, element.rawValue)
        }
        return result
    }

    private func product(_ rows: Int, by weights: LinearWeights) -> Product {
        let kept = packed(weights.storage)
        let operation = operation(
            .product(rows: rows, inputs: weights.inputs, outputs: weights.outputs),
            kept,
            function: .identity,
            second: nil
        )
        return Product(
            operation: operation,
            weights: kept.packed(for: operation.layout),
            bias: kept.bias
        )
    }
}

/// A range of rows and adjacent outputs of one picture; `from` and `to` are byte offsets.
private struct GatedBlock {
    let value: Product
    let gate: Product
    let rows: Int
    let outputs: Int
    let from: Int
    let to: Int

    /// Bytes for the values or for the gates, rounded up to whole cache lines.
    func room(of element: Element) -> Int { (rows * outputs * element.size + 63) / 64 * 64 }

    /// Bytes of working memory, rounded up to whole cache lines.
    func scratchSize(of element: Element) -> Int {
        let own = max(value.operation.scratchSize, gate.operation.scratchSize)
        return 2 * room(of: element) + (own + 63) / 64 * 64
    }
}

/// A matrix product with its weights.
private struct Product {
    let operation: Operation
    let weights: UnsafeRawPointer
    let bias: UnsafePointer<Float>?

    func run(
        _ input: UnsafeRawPointer,
        into out: UnsafeMutableRawPointer,
        scratch: UnsafeMutableRawPointer
    ) {
        operation.run(input, weights, bias: bias, second: nil, into: out, scratch: scratch)
    }
}
