import Glibc

/// Owns the aligned memory of a tensor and its copies.
///
/// `@unchecked Sendable`: the memory is written only where nobody else can reach it: while a `Tensor` is initialised, and
/// in `Tensor.withMutableFloats`, which copies storage that is shared.
final class TensorStorage: @unchecked Sendable {
    /// Size in bytes from which memory comes directly from the system and goes back to it. Loading a network
    /// creates many short-lived tensors between weights that stay; in the allocator's memory they would leave
    /// holes, 3.7 GB for a UNet of SDXL's size.
    private static let mapped = 1 << 20

    let count: Int
    let floats: UnsafeMutableBufferPointer<Float>
    private let bytes: Int

    init(count: Int) {
        self.count = count
        bytes = max(1, count) * MemoryLayout<Float>.stride
        let raw =
            bytes < Self.mapped
            ? UnsafeMutableRawPointer.allocate(byteCount: bytes, alignment: 64) : Self.map(bytes)
        floats = UnsafeMutableBufferPointer(
            start: raw.bindMemory(to: Float.self, capacity: max(1, count)),
            count: count
        )
    }

    func copy() -> TensorStorage {
        let other = TensorStorage(count: count)
        _ = other.floats.update(fromContentsOf: floats)
        return other
    }

    deinit {
        guard let raw = UnsafeMutableRawPointer(floats.baseAddress) else { return }
        if bytes < Self.mapped { raw.deallocate() } else { munmap(raw, bytes) }
    }

    /// Maps whole pages. Ends the process if none are left, like the allocator does for smaller tensors; sizes from
    /// files and from the network have been checked before.
    private static func map(_ bytes: Int) -> UnsafeMutableRawPointer {
        let memory = mmap(nil, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
        guard let memory, memory != MAP_FAILED else {
            fatalError("the system has no memory left for a tensor of \(bytes) bytes")
        }
        return memory
    }
}
