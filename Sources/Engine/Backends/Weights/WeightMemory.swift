/// Where a backend stores the weights of its layers in the form that it computes with: memory of this
/// process, or a file that all processes of a host map and share.
///
/// A network requests its layers always in the same order; a layer's position in it is its only name.
package protocol WeightMemory: AnyObject {
    /// Whether the weights are prepared already, so that nothing is read from the checkpoint.
    var isFilled: Bool { get }

    /// The memory of the next layer.
    ///
    /// - Parameters:
    ///   - size: in bytes
    ///   - fill: writes the weights; called unless they are prepared already
    /// - Returns: the memory, filled
    /// - Throws: whatever `fill` throws; `StaleWeights` and `OutputError` from files
    func next(
        _ size: Int,
        fill: (UnsafeMutableRawPointer) throws -> Void
    ) throws -> WeightBlock
}

/// Bytes of one layer, aligned for any processor; released with the last reference.
package final class WeightBlock {
    let start: UnsafeRawPointer
    private let release: () -> Void

    init(_ start: UnsafeRawPointer, release: @escaping () -> Void) {
        self.start = start
        self.release = release
    }

    deinit { release() }
}

/// Weights in memory of this process.
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
