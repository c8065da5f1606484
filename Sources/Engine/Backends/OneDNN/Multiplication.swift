import CKernels

/// How stored elements are multiplied. Sums are always float32.
package enum Multiplication: Sendable {
    /// In the stored type; bfloat16 with its dot-product instructions, one pair at a time.
    case stored
    /// Widened to float32 first, one panel of weights at a time. Intel's AVX-512 units take as long for a pair of
    /// bfloat16 values as for four float32 values, so without AMX tiles this is twice as fast, at half the memory of
    /// float32; and it needs no bfloat16 instructions.
    case widened

    /// The C kernels' code for it, used by attention.
    func kind(of element: Element) -> Int32 {
        self == .widened && element == .bfloat16
            ? Int32(TESSERA_BF16_WIDENED) : element.rawValue
    }
}
