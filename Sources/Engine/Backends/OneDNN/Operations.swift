import COneDNN

/// What oneDNN compiles: a product or a convolution of one shape.
enum Extents: Hashable {
    /// A matrix `[outputs, inputs]` times `rows` rows.
    case product(rows: Int, inputs: Int, outputs: Int)
    /// Weights `[outputs, inputs, kernel, kernel]` over one picture.
    case convolution(Picture, inputs: Int, outputs: Int, kernel: Int, stride: Int)

    /// What a convolution runs over.
    struct Picture: Hashable {
        let height: Int, width: Int
        let padding: Padding
    }

    fileprivate var convolution: tessera_convolution {
        guard case .convolution(let picture, let inputs, let outputs, let kernel, let stride) = self
        else { preconditionFailure("\(self)") }
        let padding = picture.padding
        func places(_ extent: Int, _ before: Int, _ after: Int) -> Int {
            (extent + before + after - kernel) / stride + 1
        }
        let height = places(picture.height, padding.top, padding.bottom)
        let width = places(picture.width, padding.left, padding.right)
        // Rows and columns past the last place of the kernel are none of oneDNN's business.
        return tessera_convolution(
            batch: 1,
            height: picture.height,
            width: picture.width,
            inputs: inputs,
            out_height: height,
            out_width: width,
            outputs: outputs,
            kernel: kernel,
            stride: stride,
            top: padding.top,
            left: padding.left,
            bottom: (height - 1) * stride + kernel - picture.height - padding.top,
            right: (width - 1) * stride + kernel - picture.width - padding.left
        )
    }
}

/// How oneDNN lays out the weights of an operation.
final class Layout {
    fileprivate let raw: tessera_dnnl_layout

    init(_ extents: Extents, element: Element) {
        let raw: tessera_dnnl_layout?
        switch extents {
        case .product(_, let inputs, let outputs):
            raw = tessera_dnnl_matrix_layout(inputs, outputs, element.rawValue)
        case .convolution:
            var convolution = extents.convolution
            raw = tessera_dnnl_kernel_layout(&convolution, element.rawValue)
        }
        guard let raw else { preconditionFailure("oneDNN has no layout for \(extents)") }
        self.raw = raw
    }

    deinit { tessera_dnnl_free_layout(raw) }

    /// Bytes of packed weights.
    var size: Int { tessera_dnnl_packed_size(raw) }

    /// Whether weights packed for one serve the other.
    func isSame(as other: Layout) -> Bool {
        self === other || tessera_dnnl_same_layout(raw, other.raw) != 0
    }

    /// Packs weights in their natural order into `size` bytes.
    func pack(_ weights: Tensor, into memory: UnsafeMutableRawPointer) {
        let status = weights.withFloats { tessera_dnnl_pack(raw, $0.baseAddress, memory) }
        precondition(status == 0, "oneDNN cannot pack \(weights.shape)")
    }

    /// Packs what was packed for another layout into `size` bytes.
    func pack(
        _ packed: UnsafeRawPointer,
        of other: Layout,
        into memory: UnsafeMutableRawPointer
    ) {
        let status = tessera_dnnl_repack(other.raw, packed, raw, memory)
        precondition(status == 0, "oneDNN cannot pack anew")
    }
}

/// A product or a convolution of one shape, compiled by oneDNN. Any thread may run it.
final class Operation {
    /// What an operation is compiled for.
    struct Shape: Hashable {
        let extents: Extents
        let hasBias: Bool
        let function: Int32
        let second: Int32
    }

    let layout: Layout
    /// Bytes of working memory that a run needs.
    let scratchSize: Int
    private let raw: tessera_dnnl_operation

    init(_ shape: Shape, layout: Layout) {
        let raw: tessera_dnnl_operation?
        let hasBias: Int32 = shape.hasBias ? 1 : 0
        switch shape.extents {
        case .product(let rows, _, _):
            raw = tessera_dnnl_product(layout.raw, rows, hasBias, shape.function, shape.second)
        case .convolution:
            var convolution = shape.extents.convolution
            raw = tessera_dnnl_convolve(layout.raw, &convolution, hasBias, shape.second)
        }
        guard let raw else { preconditionFailure("oneDNN cannot compute \(shape)") }
        self.raw = raw
        self.layout = layout
        scratchSize = tessera_dnnl_scratch_size(raw)
    }

    deinit { tessera_dnnl_free_operation(raw) }

    /// Computes; every pointer leads to what the shape calls for.
    func run(
        _ input: UnsafeRawPointer,
        _ weights: UnsafeRawPointer,
        bias: UnsafePointer<Float>?,
        second: UnsafeRawPointer?,
        into out: UnsafeMutableRawPointer,
        scratch: UnsafeMutableRawPointer
    ) {
        let status = tessera_dnnl_run(raw, input, weights, bias, second, out, scratch)
        precondition(status == 0, "oneDNN failed")
    }
}
