import CKernels

/// How stored numbers are multiplied. Sums are always float32.
package enum Multiplication: Sendable {
    /// As they are stored; bfloat16 by its dot-product instructions, a pair at a time.
    case stored
    /// Widened to float32 first, a panel of weights at a time. Intel's AVX-512 units take a pair of bfloat16
    /// numbers in the time of four float32 ones, so without AMX tiles this is twice as fast, at half of
    /// float32's memory; and it needs no instructions for bfloat16.
    case widened

    /// The C kernels' code for it, for attention.
    func kind(of element: Element) -> Int32 {
        self == .widened && element == .bfloat16
            ? Int32(TESSERA_BF16_WIDENED) : element.rawValue
    }
}
