import CKernels
import COneDNN

/// A matrix product or convolution of one shape, compiled by oneDNN. Any thread may run it.
final class Operation {
    /// What an operation is compiled for.
    struct Shape: Hashable {
        let extents: Extents
        let hasBias: Bool
        let function: Int32
        let second: Int32
    }

    let layout: Layout
    /// Bytes of working memory that one run needs.
    let scratchSize: Int
    private let shape: Shape
    /// Operations for full-width panels (`raw`) and for a narrower last panel (`rest`); without
    /// panels, `raw` covers all outputs.
    private let raw: tessera_dnnl_operation
    private let rest: tessera_dnnl_operation?
    /// Bytes of oneDNN's own working memory.
    private let ownScratch: Int

    init(_ shape: Shape, layout: Layout) {
        (self.shape, self.layout) = (shape, layout)
        guard let panels = layout.panels else {
            raw = Self.raw(shape, layout.raw, second: shape.second)
            rest = nil
            ownScratch = tessera_dnnl_scratch_size(raw)
            scratchSize = ownScratch
            return
        }
        // The fused second operand is applied where the result is rounded.
        func compiled(_ panel: Int, _ width: Int) -> tessera_dnnl_operation {
            let part = Shape(
                extents: shape.extents.with(outputs: width),
                hasBias: shape.hasBias,
                function: shape.function,
                second: 0
            )
            return Self.raw(part, layout.raw(of: panel), second: 0)
        }
        raw = compiled(0, panels.width)
        rest = panels.rest > 0 ? compiled(panels.whole, panels.rest) : nil
        let own = max(tessera_dnnl_scratch_size(raw), rest.map(tessera_dnnl_scratch_size) ?? 0)
        ownScratch = Self.rounded(own)
        let sizes = shape.extents.sizes
        scratchSize =
            ownScratch + Self.rounded(sizes.inputs * 4) + Self.rounded(layout.floats(of: 0) * 4)
            + sizes.rows * panels.width * 4
    }

    private static func rounded(_ bytes: Int) -> Int { (bytes + 63) / 64 * 64 }

    private static func raw(
        _ shape: Shape,
        _ layout: tessera_dnnl_layout,
        second: Int32
    ) -> tessera_dnnl_operation {
        let raw: tessera_dnnl_operation?
        let hasBias: Int32 = shape.hasBias ? 1 : 0
        switch shape.extents {
        case .product(let rows, _, _):
            raw = tessera_dnnl_product(layout, rows, hasBias, shape.function, second)
        case .convolution:
            var convolution = shape.extents.convolution
            raw = tessera_dnnl_convolve(layout, &convolution, hasBias, second)
        }
        guard let raw else { preconditionFailure("oneDNN cannot compute \(shape)") }
        return raw
    }

    deinit {
        tessera_dnnl_free_operation(raw)
        tessera_dnnl_free_operation(rest)
    }

    /// Runs the operation; every pointer must point to memory of the size that the shape requires.
    func run(
        _ input: UnsafeRawPointer,
        _ weights: UnsafeRawPointer,
        bias: UnsafePointer<Float>?,
        second: UnsafeRawPointer?,
        into out: UnsafeMutableRawPointer,
        scratch: UnsafeMutableRawPointer
    ) {
        guard let panels = layout.panels else {
            let status = tessera_dnnl_run(raw, input, weights, bias, second, out, scratch)
            return precondition(status == 0, "oneDNN failed")
        }
        let (inputs, rows, _) = shape.extents.sizes
        let wideInput = (scratch + ownScratch).assumingMemoryBound(to: Float.self)
        let wideWeights = wideInput + Self.rounded(inputs * 4) / 4
        let wideOut = wideWeights + Self.rounded(layout.floats(of: 0) * 4) / 4
        tessera_to_float(input, wideInput, inputs, Element.bfloat16.rawValue)
        var from = weights
        for (panel, (first, width)) in panels.all.enumerated() {
            let count = layout.floats(of: panel)
            tessera_to_float(from, wideWeights, count, Element.bfloat16.rawValue)
            from += count * 2
            let status = tessera_dnnl_run(
                panel < panels.whole ? raw : rest,
                wideInput,
                wideWeights,
                bias.map { $0 + first },
                nil,
                wideOut,
                scratch
            )
            precondition(status == 0, "oneDNN failed")
            tessera_finish_bfloat(
                wideOut,
                rows,
                width,
                second.map { $0 + first * 2 },
                out + first * 2,
                panels.outputs,
                shape.second
            )
        }
    }
}
