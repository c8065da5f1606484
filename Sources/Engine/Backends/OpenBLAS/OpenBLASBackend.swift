import CKernels
import COpenBLAS

/// Plain float32 arithmetic: convolutions are im2col and a product, block by block.
///
/// Products with weights read a packed form that is made once; OpenBLAS would pack the weights anew
/// for every block. Products of activations, in attention, are OpenBLAS's. It answers with other bits
/// when it is given other row counts or threads, so it always runs on one thread here, on blocks
/// whose sizes follow from the shapes of one picture alone. A pool of our own shares all blocks out.
/// Results are the same bits for every number of threads and for every batch that a picture is in.
package final class OpenBLASBackend: Backend {
    /// Rows (pixels or tokens) of one block of a product.
    static let rowsPerBlock = 192
    /// Outputs of one block of a linear layer; whole panels of `tessera_product`.
    static let outputsPerBlock = 512

    let threads: ThreadPool
    let memory = BufferPool()
    private var scratch: [ScratchBuffer]

    /// Done once per process, before the first product.
    private static let library: Void = {
        tessera_wake_openblas()
        openblas_set_num_threads(1)
    }()

    /// A backend that computes with `threads` threads, the caller's among them.
    init(threads count: Int) {
        _ = Self.library
        threads = ThreadPool(threads: count)
        scratch = (0..<count).map { _ in ScratchBuffer() }
    }

    // MARK: Memory

    package func upload(_ tensor: Tensor) -> Activation {
        let (result, out) = make(tensor.shape)
        tensor.withFloats { out.update(from: $0) }
        return result
    }

    package func download(_ activation: Activation) -> Tensor {
        let from = pointer(activation)
        return Tensor(shape: activation.shape) { out in
            out.baseAddress?.update(from: from, count: out.count)
        }
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

    package func prepareConv(weight: Tensor, bias: Tensor?) -> ConvWeights {
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
            storage: Matrix(rows.packed(), bias: bias)
        )
    }

    package func prepareNorm(scale: Tensor, shift: Tensor) -> NormWeights {
        precondition(scale.shape == shift.shape, "\(scale.shape) vs \(shift.shape)")
        return NormWeights(channels: scale.count, storage: Matrix(scale, bias: shift))
    }

    package func prepareTable(_ table: Tensor) -> TableWeights {
        precondition(table.shape.count == 2, "\(table.shape)")
        return TableWeights(
            rows: table.shape[0],
            width: table.shape[1],
            storage: Matrix(table, bias: nil)
        )
    }

    // MARK: What the operations share

    /// A new activation and its memory, undefined as yet.
    func make(_ shape: [Int]) -> (Activation, UnsafeMutableBufferPointer<Float>) {
        let count = shape.reduce(1, *)
        let buffer = memory.take(count)
        return (
            Activation(shape: shape, storage: buffer),
            UnsafeMutableBufferPointer(rebasing: buffer.floats[0..<count])
        )
    }

    /// The memory of an activation, which lives as long as the activation is held.
    func pointer(_ activation: Activation) -> UnsafeMutablePointer<Float> {
        guard let buffer = activation.storage as? FloatBuffer, let start = buffer.floats.baseAddress
        else { preconditionFailure("an activation of another backend") }
        return start
    }

    /// The prepared weights behind a handle.
    func matrix(_ storage: AnyObject) -> Matrix {
        guard let matrix = storage as? Matrix else {
            preconditionFailure("weights of another backend")
        }
        return matrix
    }

    /// Working memory of one thread, of at least `count` floats.
    func scratch(lane: Int, _ count: Int) -> UnsafeMutablePointer<Float> {
        scratch[lane].pointer(count)
    }
}

/// Weights in the form the operations read: packed for products, plain for the others.
final class Matrix {
    let weight: Tensor
    let bias: Tensor?

    init(_ weight: Tensor, bias: Tensor?) {
        self.weight = weight
        self.bias = bias
    }

    /// Lends the matrix and the bias.
    func withFloats(_ body: (UnsafePointer<Float>, UnsafePointer<Float>?) -> Void) {
        weight.withFloats { w in
            guard let start = w.baseAddress else { return }
            guard let bias else { return body(start, nil) }
            bias.withFloats { body(start, $0.baseAddress) }
        }
    }
}

/// Memory that one thread works in; grows to the largest request.
final class ScratchBuffer {
    private var floats = UnsafeMutableBufferPointer<Float>(start: nil, count: 0)

    func pointer(_ count: Int) -> UnsafeMutablePointer<Float> {
        if let start = floats.baseAddress, floats.count >= count { return start }
        floats.deallocate()
        let raw = UnsafeMutableRawPointer.allocate(
            byteCount: count * MemoryLayout<Float>.stride,
            alignment: 64
        )
        let start = raw.bindMemory(to: Float.self, capacity: count)
        floats = UnsafeMutableBufferPointer(start: start, count: count)
        return start
    }

    deinit { floats.deallocate() }
}

extension Tensor {
    /// Weights `[outputs, inputs]` as `tessera_product` reads them.
    fileprivate func packed() -> Tensor {
        Tensor(shape: [tessera_packed_size(shape[1], shape[0])]) { out in
            withFloats { tessera_pack($0.baseAddress, shape[1], shape[0], out.baseAddress) }
        }
    }
}

extension UnsafeMutableBufferPointer<Float> {
    fileprivate func update(from source: UnsafeBufferPointer<Float>) {
        guard let start = baseAddress, let from = source.baseAddress else { return }
        start.update(from: from, count: source.count)
    }
}
