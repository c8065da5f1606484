/// Element type of an activation. The raw values are those of `CKernels.h`.
package enum Element: Int32 {
    case float32 = 0
    case bfloat16 = 1

    /// Bytes per element.
    package var size: Int { self == .float32 ? 4 : 2 }
}
