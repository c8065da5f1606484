import Foundation

/// Memory whose pages the system may join to large ones: the processor then finds the address of each of them
/// in its tables. Of no effect where the system knows no large pages.
enum LargePages {
    /// Bytes of a large page.
    private static let page = 2 << 20

    /// At least `bytes` bytes, aligned for every kernel, their contents undefined; to be given back by `deallocate()`.
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
