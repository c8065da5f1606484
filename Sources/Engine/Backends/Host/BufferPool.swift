/// Memory that is reused instead of being returned to the system: faulting in fresh pages takes as
/// long as the arithmetic on them.
final class BufferPool {
    private var free: [UnsafeMutableRawBufferPointer] = []

    deinit { drain() }

    /// Size in bytes from which buffers count as large; these are not kept when none of them fits.
    private static let large = 16 << 20

    /// Returns an uninitialised buffer of at least `bytes` bytes, aligned for every kernel, and whether it was newly allocated.
    ///
    /// A free buffer is reused if it is large enough and at most twice as large as needed (for large ones, at most an
    /// eighth larger). If none fits, the large free buffers go back to the system first: a decoder, whose pictures grow
    /// from layer to layer, must not hold the memory of every layer at once.
    func take(_ bytes: Int) -> (UnsafeMutableRawBufferPointer, isNew: Bool) {
        var best: Int?
        let limit = bytes < Self.large ? 2 * bytes : bytes + bytes / 8
        for i in free.indices where (bytes...limit).contains(free[i].count) {
            if let b = best, free[b].count <= free[i].count { continue }
            best = i
        }
        if let best { return (free.remove(at: best), false) }
        for buffer in free where buffer.count >= Self.large { buffer.deallocate() }
        free.removeAll { $0.count >= Self.large }
        return (.allocate(byteCount: bytes, alignment: MemoryPlan.alignment), true)
    }

    func giveBack(_ buffer: UnsafeMutableRawBufferPointer) {
        free.append(buffer)
    }

    /// Returns all free buffers to the system.
    func drain() {
        for buffer in free { buffer.deallocate() }
        free = []
    }
}
