import CKernels
import COpenBLAS

/// Plain float32 arithmetic: convolutions are im2col and a product, block by block.
///
/// Products with weights read a packed form that is made once; OpenBLAS would pack the weights anew
/// for every block. Products of activations, in attention, are OpenBLAS's. It answers with other bits
/// when it is given other row counts or threads, so it always runs on one thread here, on blocks
/// whose sizes follow from the shapes of one picture alone. A pool of our own shares all blocks out.
package final class OpenBLASBackend: HostBackend, Backend {
    /// Outputs of one block of a linear layer; whole panels of `tessera_product`.
    static let outputsPerBlock = 512

    /// Done once per process, before the first product.
    private static let library: Void = {
        tessera_wake_openblas()
        openblas_set_num_threads(1)
    }()

    /// A backend that computes with `threads` threads, the caller's among them.
    init(threads count: Int) {
        _ = Self.library
        super.init(element: .float32, threads: count)
    }

    package func prepareLinear(weight: Tensor, bias: Tensor?) -> LinearWeights {
        precondition(weight.shape.count == 2, "\(weight.shape)")
        let (outputs, inputs) = (weight.shape[0], weight.shape[1])
        return LinearWeights(
            inputs: inputs,
            outputs: outputs,
            storage: Matrix(weight.packed(), bias: bias)
        )
    }

    package func prepareConv(weight: Tensor, bias: Tensor?, stride: Int) -> ConvWeights {
        precondition(
            weight.shape.count == 4 && weight.shape[2] == weight.shape[3],
            "\(weight.shape)"
        )
        let (outputs, inputs, kernel) = (weight.shape[0], weight.shape[1], weight.shape[2])
        // Inputs in the order in which im2col lays them out: kernel row, kernel column, channel.
        let rows = weight.channelsLast().reshaped([outputs, kernel * kernel * inputs])
        return ConvWeights(
            inputs: inputs,
            outputs: outputs,
            kernel: kernel,
            stride: stride,
            storage: Matrix(rows.packed(), bias: bias)
        )
    }

    /// The memory of an activation.
    func floats(_ activation: Activation) -> UnsafeMutablePointer<Float> {
        pointer(activation).assumingMemoryBound(to: Float.self)
    }
}

extension Tensor {
    /// Weights `[outputs, inputs]` as `tessera_product` reads them.
    fileprivate func packed() -> Tensor {
        Tensor(shape: [tessera_packed_size(shape[1], shape[0])]) { out in
            withFloats {
                tessera_pack($0.baseAddress, shape[1], 1, shape[1], shape[0], out.baseAddress)
            }
        }
    }
}
