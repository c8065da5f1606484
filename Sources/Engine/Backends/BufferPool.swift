/// Memory for activations that is used again instead of going back to the system.
///
/// A network asks for the same sizes at every evaluation, and fresh pages cost as much time as the
/// arithmetic on them. A buffer goes back to its pool when the last handle to it goes.
final class BufferPool {
    private var free: [UnsafeMutableBufferPointer<Float>] = []

    deinit {
        for buffer in free { buffer.deallocate() }
    }

    /// Floats from which on a buffer is too large to be kept for later (16 MiB).
    private static let large = 4 << 20

    /// A buffer of at least `count` floats, its contents undefined.
    ///
    /// A free buffer serves when it is large enough and at most twice as large as needed. Where none
    /// fits, the large free buffers go back to the system first: a decoder, whose pictures grow from
    /// layer to layer, must not hold the memory of every layer at once.
    func take(_ count: Int) -> FloatBuffer {
        let wanted = max(16, count)
        var best: Int?
        for i in free.indices where free[i].count >= wanted && free[i].count <= 2 * wanted {
            if let b = best, free[b].count <= free[i].count { continue }
            best = i
        }
        if let best { return FloatBuffer(free.remove(at: best), pool: self) }
        for buffer in free where buffer.count >= Self.large { buffer.deallocate() }
        free.removeAll { $0.count >= Self.large }
        let raw = UnsafeMutableRawPointer.allocate(
            byteCount: wanted * MemoryLayout<Float>.stride,
            alignment: 64
        )
        let start = raw.bindMemory(to: Float.self, capacity: wanted)
        return FloatBuffer(UnsafeMutableBufferPointer(start: start, count: wanted), pool: self)
    }

    fileprivate func giveBack(_ buffer: UnsafeMutableBufferPointer<Float>) {
        free.append(buffer)
    }
}

/// One activation's memory, on loan from a pool.
final class FloatBuffer {
    let floats: UnsafeMutableBufferPointer<Float>
    private let pool: BufferPool

    fileprivate init(_ floats: UnsafeMutableBufferPointer<Float>, pool: BufferPool) {
        self.floats = floats
        self.pool = pool
    }

    deinit { pool.giveBack(floats) }
}
