import Foundation

/// Memory that the system may back with huge pages, which saves TLB misses. No effect where the
/// system does not support them.
enum LargePages {
    /// Size of a huge page in bytes.
    private static let page = 2 << 20

    /// Allocates at least `bytes` bytes, aligned for every kernel, uninitialised; free them with `deallocate()`.
    static func allocate(_ bytes: Int) -> UnsafeMutableRawBufferPointer {
        guard bytes >= page else {
            return .allocate(byteCount: bytes, alignment: MemoryPlan.alignment)
        }
        let whole = (bytes + page - 1) / page * page
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: whole, alignment: page)
        madvise(memory.baseAddress, whole, Int32(MADV_HUGEPAGE))
        return memory
    }
}
