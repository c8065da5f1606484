/// Decides how many bytes of tiles stay in a backend's memory between two evaluations.
///
/// On the processor the limit is fixed. On a device it grows while the device has free memory, and never shrinks by
/// itself, because PyTorch keeps the memory of removed tiles and reuses it for the next ones.
package struct TileRoom: Equatable, Sendable {
    /// Bytes of tiles that may stay.
    package private(set) var bytes: Int
    private var mayGrow = true
    private let initial: Int

    /// Bytes of a device that tiles leave free, for other processes and because of
    /// fragmentation: an eighth, at least 1 GiB.
    private static func reserve(of memory: DeviceMemory) -> Int { max(1 << 30, memory.all / 8) }

    /// Room that evaluating the next tile needs, in tiles: what a residual block reads, adds and writes, and
    /// the workspace of a convolution.
    private static let tilesAtWork = 4

    /// - Parameter bytes: bytes that may stay in any case
    package init(bytes: Int) { (self.bytes, initial) = (bytes, bytes) }

    /// Whether a tile may stay.
    ///
    /// - Parameters:
    ///   - size: size in bytes of the tile, which is in the backend's memory
    ///   - used: bytes of the tiles that already stay there
    ///   - memory: the device's memory; nil for the processor, or if unknown
    /// - Returns: false if the tile must go to a file
    package mutating func admits(_ size: Int, beside used: Int, in memory: DeviceMemory?) -> Bool {
        if used + size <= bytes { return true }
        guard mayGrow, let memory,
            memory.free >= Self.reserve(of: memory) + Self.tilesAtWork * size
        else { return false }
        bytes = used + size
        return true
    }

    /// Records that the device ran out of memory while it held `used` bytes of tiles: from
    /// now on, half of that may stay.
    package mutating func halve(from used: Int) {
        bytes = min(bytes, used / 2)
        mayGrow = false
    }

    /// Records that no tiles are left, so the limit may grow again: whatever filled the device
    /// may be gone by the next tile.
    package mutating func reopen() {
        bytes = max(bytes, initial)
        mayGrow = true
    }
}
