/// Memory for activations that is used again instead of going back to the system.
///
/// A network asks for the same sizes at every evaluation, and fresh pages cost as much time as the
/// arithmetic on them. A buffer goes back to its pool when the last handle to it goes.
final class BufferPool {
    private var free: [UnsafeMutableRawBufferPointer] = []

    deinit {
        for buffer in free { buffer.deallocate() }
    }

    /// Bytes from which on a buffer is too large to be kept for later.
    private static let large = 16 << 20

    /// A buffer of at least `bytes` bytes, aligned for every kernel, its contents undefined.
    ///
    /// A free buffer serves when it is large enough and at most twice as large as needed. Where none
    /// fits, the large free buffers go back to the system first: a decoder, whose pictures grow from
    /// layer to layer, must not hold the memory of every layer at once.
    func take(_ bytes: Int) -> Buffer {
        let wanted = max(64, bytes)
        var best: Int?
        for i in free.indices where free[i].count >= wanted && free[i].count <= 2 * wanted {
            if let b = best, free[b].count <= free[i].count { continue }
            best = i
        }
        if let best { return Buffer(free.remove(at: best), pool: self) }
        for buffer in free where buffer.count >= Self.large { buffer.deallocate() }
        free.removeAll { $0.count >= Self.large }
        return Buffer(.allocate(byteCount: wanted, alignment: 64), pool: self)
    }

    fileprivate func giveBack(_ buffer: UnsafeMutableRawBufferPointer) {
        free.append(buffer)
    }
}

/// Memory on loan from a pool.
final class Buffer {
    let bytes: UnsafeMutableRawBufferPointer
    private let pool: BufferPool

    fileprivate init(_ bytes: UnsafeMutableRawBufferPointer, pool: BufferPool) {
        self.bytes = bytes
        self.pool = pool
    }

    deinit { pool.giveBack(bytes) }

    /// The first byte; a buffer is never empty.
    var start: UnsafeMutableRawPointer {
        guard let start = bytes.baseAddress else { preconditionFailure("an empty buffer") }
        return start
    }
}
