/// Where a backend stores prepared layer weights: in this process's memory, or in a file that all
/// processes of a host map and share.
///
/// A network always requests its layers in the same order; a layer is identified only by its position in that order.
package protocol WeightMemory: AnyObject {
    /// Whether the weights are already prepared, so that nothing is read from the checkpoint.
    var isFilled: Bool { get }

    /// The memory of the next layer.
    ///
    /// - Parameters:
    ///   - size: in bytes
    ///   - fill: writes the weights; not called if they are already prepared
    /// - Returns: the memory, filled
    /// - Throws: whatever `fill` throws; `StaleWeights` and `OutputError` from files
    func next(
        _ size: Int,
        fill: (UnsafeMutableRawPointer) throws -> Void
    ) throws -> WeightBlock
}

/// The bytes of one layer, aligned for any processor; released with the last reference.
package final class WeightBlock {
    let start: UnsafeRawPointer
    private let release: () -> Void

    init(_ start: UnsafeRawPointer, release: @escaping () -> Void) {
        self.start = start
        self.release = release
    }

    deinit { release() }
}

/// Weights in this process's own memory.
package final class OwnWeights: WeightMemory {
    package init() {}

    package var isFilled: Bool { false }

    package func next(
        _ size: Int,
        fill: (UnsafeMutableRawPointer) throws -> Void
    ) throws -> WeightBlock {
        let memory = UnsafeMutableRawPointer.allocate(byteCount: max(64, size), alignment: 64)
        let block = WeightBlock(memory) { memory.deallocate() }
        try fill(memory)
        return block
    }
}

/// A file of prepared weights that does not match the network that reads it, or is damaged.
struct StaleWeights: Error {}
