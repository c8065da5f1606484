/// Weights in oneDNN's layout, and their bias in float32.
///
/// oneDNN lays weights out by the extents of the pictures, too. They are packed once for the usual ones;
/// where an operation wants another layout, it gets a copy of its own.
final class PackedWeights {
    /// The packed bytes, for one layout.
    final class Copy {
        let layout: Layout
        let memory: UnsafeMutableRawPointer

        fileprivate init(_ layout: Layout) {
            self.layout = layout
            memory = .allocate(byteCount: max(64, layout.size), alignment: 64)
        }

        deinit { memory.deallocate() }
    }

    let bias: UnsafeMutablePointer<Float>?
    private var copies: [Copy]

    init(_ weight: Tensor, bias: Tensor?, layout: Layout) {
        let first = Copy(layout)
        layout.pack(weight, into: first.memory)
        copies = [first]
        self.bias = bias.map { bias in
            let floats = UnsafeMutablePointer<Float>.allocate(capacity: bias.count)
            bias.withFloats { from in
                guard let start = from.baseAddress else { return }
                floats.initialize(from: start, count: from.count)
            }
            return floats
        }
    }

    deinit { bias?.deallocate() }

    /// The weights as an operation reads them.
    func packed(for layout: Layout) -> UnsafeRawPointer {
        if let copy = copies.first(where: { $0.layout.isSame(as: layout) }) {
            return UnsafeRawPointer(copy.memory)
        }
        let copy = Copy(layout)
        layout.pack(copies[0].memory, of: copies[0].layout, into: copy.memory)
        copies.append(copy)
        return UnsafeRawPointer(copy.memory)
    }
}
