/// Decides how many bytes of tiles stay in a backend's memory between two evaluations.
///
/// On the processor that is a fixed number. On a device it grows while the device has free memory, and never shrinks by
/// itself: memory that tiles leave is kept by PyTorch, which uses it for the next ones.
package struct TileRoom: Equatable, Sendable {
    /// Bytes that may stay.
    package private(set) var bytes: Int
    private var mayGrow = true
    private let initial: Int

    /// Bytes of a device that tiles leave free, for other processes and for memory that is in pieces: an eighth, at least 1 GiB.
    private static func reserve(of memory: DeviceMemory) -> Int { max(1 << 30, memory.all / 8) }

    /// Tiles that the evaluation of the next one needs room for: what a residual block reads, adds and writes, and the
    /// workspace of a convolution.
    private static let tilesAtWork = 4

    /// - Parameter bytes: that may stay in any case
    package init(bytes: Int) { (self.bytes, initial) = (bytes, bytes) }

    /// Whether a tile may stay.
    ///
    /// - Parameters:
    ///   - size: bytes of the tile, which is in the backend's memory
    ///   - used: bytes of the tiles that stay there already
    ///   - memory: the device's; nil for the processor, or if unknown
    /// - Returns: false if it must go
    package mutating func admits(_ size: Int, beside used: Int, in memory: DeviceMemory?) -> Bool {
        if used + size <= bytes { return true }
        guard mayGrow, let memory,
            memory.free >= Self.reserve(of: memory) + Self.tilesAtWork * size
        else { return false }
        bytes = used + size
        return true
    }

    /// The device ran out of memory while tiles of `used` bytes were there: from now on half of that may stay.
    package mutating func halve(from used: Int) {
        bytes = min(bytes, used / 2)
        mayGrow = false
    }

    /// No tile is left: what else filled the device may be gone when the next one comes.
    package mutating func reopen() {
        bytes = max(bytes, initial)
        mayGrow = true
    }
}
