/// A dense float32 array, row-major, in its own 64-byte-aligned memory.
///
/// Pictures and latents are `[batch, height, width, channels]` everywhere in the Engine. A tensor is a value: copies
/// share memory until one of them is written to.
package struct Tensor: Sendable {
    /// Size of each axis.
    package let shape: [Int]
    private var storage: TensorStorage

    /// Number of elements.
    package var count: Int { storage.count }

    /// A tensor of zeros.
    package init(zeros shape: [Int]) {
        self.init(uninitialized: shape)
        storage.floats.update(repeating: 0)
    }

    /// A tensor that holds `values` in row-major order.
    package init(_ values: [Float], shape: [Int]) {
        self.init(uninitialized: shape)
        precondition(values.count == count, "\(values.count) values for shape \(shape)")
        _ = storage.floats.update(fromContentsOf: values)
    }

    /// Makes a tensor whose elements `fill` must all write.
    package init(shape: [Int], filledBy fill: (UnsafeMutableBufferPointer<Float>) throws -> Void)
        rethrows
    {
        self.init(uninitialized: shape)
        try fill(storage.floats)
    }

    private init(uninitialized shape: [Int]) {
        precondition(shape.allSatisfy { $0 >= 0 }, "\(shape)")
        self.shape = shape
        self.storage = TensorStorage(count: shape.reduce(1, *))
    }

    private init(_ storage: TensorStorage, shape: [Int]) {
        self.storage = storage
        self.shape = shape
    }

    /// Reads the elements in row-major order.
    package func withFloats<R, E: Error>(
        _ body: (UnsafeBufferPointer<Float>) throws(E) -> R
    ) throws(E) -> R {
        defer { withExtendedLifetime(storage) {} }
        return try body(UnsafeBufferPointer(storage.floats))
    }

    /// Writes the elements in place, after a copy if the memory is shared.
    package mutating func withMutableFloats<R, E: Error>(
        _ body: (UnsafeMutableBufferPointer<Float>) throws(E) -> R
    ) throws(E) -> R {
        if !isKnownUniquelyReferenced(&storage) { storage = storage.copy() }
        defer { withExtendedLifetime(storage) {} }
        return try body(storage.floats)
    }

    /// The elements as an array.
    package var values: [Float] { withFloats { Array($0) } }

    /// The same elements with another shape of equal count; shares memory.
    package func reshaped(_ shape: [Int]) -> Tensor {
        precondition(shape.reduce(1, *) == count, "\(self.shape) to \(shape)")
        return Tensor(storage, shape: shape)
    }
}
