import Glibc

/// Owns the aligned memory of tensors.
///
/// `@unchecked Sendable`: written only through `Tensor.withMutableFloats`, which holds the one
/// reference to it, or before the tensor that owns it exists.
final class TensorStorage: @unchecked Sendable {
    /// From this size on, in bytes, memory comes from the system and goes back to it. A network is loaded through tensors that live
    /// for a moment, between weights that stay: of the allocator's memory they would leave holes, 3.7 GB for a UNet of SDXL's size.
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

    /// Whole pages. Ends the process where there are none left, as the allocator does for smaller tensors; sizes from files and
    /// from the network were checked before.
    private static func map(_ bytes: Int) -> UnsafeMutableRawPointer {
        let memory = mmap(nil, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
        guard let memory, memory != MAP_FAILED else {
            fatalError("the system has no memory left for a tensor of \(bytes) bytes")
        }
        return memory
    }
}
