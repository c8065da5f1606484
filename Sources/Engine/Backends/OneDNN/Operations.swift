import CKernels
import COneDNN

/// What oneDNN compiles: a matrix product or convolution of one shape.
enum Extents: Hashable {
    /// A matrix `[outputs, inputs]` times `rows` rows.
    case product(rows: Int, inputs: Int, outputs: Int)
    /// Weights `[outputs, inputs, kernel, kernel]` over one picture.
    case convolution(Picture, inputs: Int, outputs: Int, kernel: Int, stride: Int)

    /// The input of a convolution.
    struct Picture: Hashable {
        let height: Int, width: Int
        let padding: Padding
    }

    /// Outputs of the whole operation.
    var outputs: Int {
        switch self {
        case .product(_, _, let outputs), .convolution(_, _, let outputs, _, _): outputs
        }
    }

    /// The same operation with another number of outputs.
    func with(outputs: Int) -> Extents {
        switch self {
        case .product(let rows, let inputs, _):
            .product(rows: rows, inputs: inputs, outputs: outputs)
        case .convolution(let picture, let inputs, _, let kernel, let stride):
            .convolution(
                picture,
                inputs: inputs,
                outputs: outputs,
                kernel: kernel,
                stride: stride
            )
        }
    }

    /// Input elements, rows of outputs, and terms in the sum of each output.
    var sizes: (inputs: Int, rows: Int, depth: Int) {
        switch self {
        case .product(let rows, let inputs, _): return (rows * inputs, rows, inputs)
        case .convolution(let picture, let inputs, _, let kernel, _):
            let c = convolution
            return (
                picture.height * picture.width * inputs, c.out_height * c.out_width,
                inputs * kernel * kernel
            )
        }
    }

    var convolution: tessera_convolution {
        guard case .convolution(let picture, let inputs, let outputs, let kernel, let stride) = self
        else { preconditionFailure("\(self)") }
        let padding = picture.padding
        func places(_ extent: Int, _ before: Int, _ after: Int) -> Int {
            (extent + before + after - kernel) / stride + 1
        }
        let height = places(picture.height, padding.top, padding.bottom)
        let width = places(picture.width, padding.left, padding.right)
        // Rows and columns past the last position of the kernel are not passed to oneDNN.
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
