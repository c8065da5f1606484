import CKernels
import COpenBLAS

/// Plain float32 arithmetic: a convolution is im2col and a matrix product, block by block.
///
/// Products with weights read a packed form that is made once; OpenBLAS would pack the weights again for every block.
/// Products of activations, in attention, use OpenBLAS. Its results differ in the last bits with other row counts or
/// numbers of threads, so it always runs on one thread here, on blocks whose sizes depend only on the shape of one
/// picture. Our own pool distributes all blocks.
package final class OpenBLASBackend: HostBackend, Backend {
    /// Outputs per block of a linear layer; a multiple of the panels of `tessera_product`.
    static let outputsPerBlock = 512

    /// Initialises OpenBLAS once per process, before the first product.
    private static let library: Void = {
        tessera_wake_openblas()
        openblas_set_num_threads(1)
    }()

    /// Makes a backend that computes with `threads` threads, including the caller's.
    init(threads count: Int, weights: any WeightMemory) {
        _ = Self.library
        super.init(element: .float32, threads: count, weights: weights)
    }

    package func prepareLinear(
        inputs: Int,
        outputs: Int,
        hasBias: Bool,
        _ read: () throws -> Parameters
    ) throws -> LinearWeights {
        let layer = try keep(inputs, outputs, hasBias: hasBias, read) { weight in
            weight.reshaped([outputs, inputs])
        }
        return LinearWeights(inputs: inputs, outputs: outputs, storage: layer)
    }

    package func prepareConv(
        inputs: Int,
        outputs: Int,
        kernel: Int,
        stride: Int,
        _ read: () throws -> Parameters
    ) throws -> ConvWeights {
        let depth = kernel * kernel * inputs
        let layer = try keep(depth, outputs, hasBias: true, read) { weight in
            precondition(weight.shape == [outputs, inputs, kernel, kernel], "\(weight.shape)")
            // Inputs in the order of im2col: kernel row, kernel column, channel.
            return weight.channelsLast().reshaped([outputs, depth])
        }
        return ConvWeights(
            inputs: inputs,
            outputs: outputs,
            kernel: kernel,
            stride: stride,
            storage: layer
        )
    }

    /// Stores a matrix `[outputs, depth]` in the layout that `tessera_product` reads.
    private func keep(
        _ depth: Int,
        _ outputs: Int,
        hasBias: Bool,
        _ read: () throws -> Parameters,
        matrix: (Tensor) -> Tensor
    ) throws -> KeptLayer {
        let size = tessera_packed_size(depth, outputs) * MemoryLayout<Float>.stride
        return try keep(size, outputs: outputs, hasBias: hasBias, read) { weight, memory in
            matrix(weight).withFloats {
                tessera_pack(
                    $0.baseAddress,
                    depth,
                    1,
                    depth,
                    outputs,
                    memory.assumingMemoryBound(to: Float.self)
                )
            }
        }
    }

    /// The memory of an activation.
    func floats(_ activation: Activation) -> UnsafeMutablePointer<Float> {
        pointer(activation).assumingMemoryBound(to: Float.self)
    }
}
