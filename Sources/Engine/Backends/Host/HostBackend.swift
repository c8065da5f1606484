import CKernels

/// The common part of the backends that run on the processor: memory, normalisation, and operations that only move or
/// map elements. Subclasses add matrix products, convolutions and attention.
///
/// Block sizes depend only on the shape of one picture, so results do not depend on the number of threads or on the batch
/// size, to the bit.
package class HostBackend {
    /// Rows (pixels or tokens) per block.
    static let rowsPerBlock = 192

    /// Element type of activations.
    let element: Element
    let threads: ThreadPool
    let memory = ActivationMemory()
    private let weights: any WeightMemory
    private var scratch: [ScratchBuffer]

    /// Makes a backend that computes with `threads` threads, including the caller's, and keeps the
    /// weights of its layers in `weights`.
    init(element: Element, threads count: Int, weights: any WeightMemory) {
        self.weights = weights
        self.element = element
        threads = ThreadPool(threads: count)
        scratch = (0..<count).map { _ in ScratchBuffer() }
    }

    package func upload(_ tensor: Tensor) -> Activation {
        let result = make(tensor.shape)
        tensor.withFloats { floats in
            guard let from = floats.baseAddress else { return }
            tessera_from_float(from, pointer(result), tensor.count, element.rawValue)
        }
        return result
    }

    package func download(_ activation: Activation) -> Tensor {
        Tensor(shape: activation.shape) { out in
            guard let to = out.baseAddress else { return }
            tessera_to_float(pointer(activation), to, out.count, element.rawValue)
        }
    }

    /// How many times activation memory was allocated from the system.
    package var allocations: Int { memory.allocations }

    package func evaluating<T>(_ shape: [Int], _ body: () throws -> T) rethrows -> T {
        try memory.evaluating(shape, body)
    }

    package func persistent<T>(_ body: () -> T) -> T { memory.persistent(body) }

    package func releaseFreeMemory() { memory.drain() }

    package var elementBytes: Int { element.size }

    package func read<Failure: Error>(
        _ activation: Activation,
        _ body: (UnsafeRawBufferPointer, Int) throws(Failure) -> Void
    ) throws(Failure) {
        try body(UnsafeRawBufferPointer(bytes(of: activation)), 0)
    }

    package func write<Failure: Error>(
        _ activation: Activation,
        _ body: (UnsafeMutableRawBufferPointer, Int) throws(Failure) -> Void
    ) throws(Failure) {
        try body(bytes(of: activation), 0)
    }

    private func bytes(of activation: Activation) -> UnsafeMutableRawBufferPointer {
        UnsafeMutableRawBufferPointer(
            start: pointer(activation),
            count: activation.shape.reduce(element.size, *)
        )
    }

    package func blank(_ shape: [Int]) -> Activation { make(shape) }

    package var isFilled: Bool { weights.isFilled }

    /// Stores a layer's weights, `size` bytes written by `pack`, and its bias.
    ///
    /// - Throws: whatever `read` throws, and errors of files that hold prepared weights
    func keep(
        _ size: Int,
        outputs: Int,
        hasBias: Bool,
        _ read: () throws -> Parameters,
        pack: (Tensor, UnsafeMutableRawPointer) -> Void
    ) throws -> KeptLayer {
        let biasAt = (size + 63) / 64 * 64
        let whole = hasBias ? biasAt + outputs * MemoryLayout<Float>.stride : size
        let block = try weights.next(whole) { memory in
            let parameters = try read()
            precondition(
                (parameters.bias != nil) == hasBias && parameters.weight.shape[0] == outputs
            )
            pack(parameters.weight, memory)
            guard let bias = parameters.bias else { return }
            (memory + size).initializeMemory(as: UInt8.self, repeating: 0, count: biasAt - size)
            bias.withFloats { from in
                UnsafeMutableRawBufferPointer(start: memory + biasAt, count: whole - biasAt)
                    .copyMemory(from: UnsafeRawBufferPointer(from))
            }
        }
        return KeptLayer(block: block, biasAt: hasBias ? biasAt : nil)
    }

    /// The stored layer behind a handle.
    func layer(_ storage: AnyObject) -> KeptLayer {
        guard let layer = storage as? KeptLayer else {
            preconditionFailure("weights of another backend")
        }
        return layer
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

    /// Allocates an uninitialised activation.
    func make(_ shape: [Int]) -> Activation {
        Activation(shape: shape, storage: memory.take(shape.reduce(element.size, *)))
    }

    /// The memory of an activation; valid while the activation is held.
    func pointer(_ activation: Activation) -> UnsafeMutableRawPointer {
        guard let buffer = activation.storage as? Buffer else {
            preconditionFailure("an activation of another backend")
        }
        return buffer.start
    }

    /// The vectors or table behind a handle.
    func matrix(_ storage: AnyObject) -> Matrix {
        guard let matrix = storage as? Matrix else {
            preconditionFailure("weights of another backend")
        }
        return matrix
    }

    /// Working memory of one thread for at least `count` floats.
    func scratch(lane: Int, _ count: Int) -> UnsafeMutablePointer<Float> {
        scratch[lane].pointer(count)
    }
}

/// The packed weights of a layer, and its bias in float32.
class KeptLayer {
    private let block: WeightBlock
    private let biasAt: Int?

    init(block: WeightBlock, biasAt: Int?) {
        (self.block, self.biasAt) = (block, biasAt)
    }

    init(_ other: KeptLayer) {
        (block, biasAt) = (other.block, other.biasAt)
    }

    var weights: UnsafeRawPointer { block.start }
    var bias: UnsafePointer<Float>? {
        biasAt.map { (block.start + $0).assumingMemoryBound(to: Float.self) }
    }
}

/// A vector or table in row-major order, and an optional second vector.
final class Matrix {
    let weight: Tensor
    let bias: Tensor?

    init(_ weight: Tensor, bias: Tensor?) {
        self.weight = weight
        self.bias = bias
    }

    /// Passes pointers to the matrix and the bias, valid for the call.
    func withFloats(_ body: (UnsafePointer<Float>, UnsafePointer<Float>?) -> Void) {
        weight.withFloats { w in
            guard let start = w.baseAddress else { return }
            guard let bias else { return body(start, nil) }
            bias.withFloats { body(start, $0.baseAddress) }
        }
    }
}

/// Working memory of one thread; grows to the largest request so far.
final class ScratchBuffer {
    private var floats = UnsafeMutableBufferPointer<Float>(start: nil, count: 0)

    func pointer(_ count: Int) -> UnsafeMutablePointer<Float> {
        if let start = floats.baseAddress, floats.count >= count { return start }
        floats.deallocate()
        let raw = LargePages.allocate(count * MemoryLayout<Float>.stride)
        floats = raw.bindMemory(to: Float.self)
        guard let start = floats.baseAddress else { preconditionFailure("no working memory") }
        return start
    }

    deinit { floats.deallocate() }
}
