/// Weights in oneDNN's layout, and their bias in float32.
///
/// oneDNN's layout of weights also depends on the extents of the pictures. Weights are packed once for the most common
/// extents; an operation that needs another layout gets a copy.
final class PackedWeights: KeptLayer {
    /// A copy of the packed bytes in another layout.
    private final class Copy {
        let layout: Layout
        let memory: UnsafeMutableRawPointer

        init(_ layout: Layout) {
            self.layout = layout
            memory = .allocate(byteCount: max(64, layout.size), alignment: 64)
        }

        deinit { memory.deallocate() }
    }

    private let layout: Layout
    private var copies: [Copy] = []

    init(_ layer: KeptLayer, layout: Layout) {
        self.layout = layout
        super.init(layer)
    }

    /// The weights as an operation reads them.
    func packed(for layout: Layout) -> UnsafeRawPointer {
        if self.layout.isSame(as: layout) { return weights }
        if let copy = copies.first(where: { $0.layout.isSame(as: layout) }) {
            return UnsafeRawPointer(copy.memory)
        }
        let copy = Copy(layout)
        layout.pack(weights, of: self.layout, into: copy.memory)
        copies.append(copy)
        return UnsafeRawPointer(copy.memory)
    }
}
