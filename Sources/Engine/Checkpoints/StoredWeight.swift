/// A weight as it lies in its mapped file, for devices that convert it themselves.
package struct StoredWeight {
    /// Keeps the bytes mapped.
    private let file: SafeTensors
    /// In order; F32, F16 or BF16.
    let bytes: UnsafeRawBufferPointer
    let type: SafeTensors.ElementType

    /// Nil for types that not every device reads, and where the elements are not aligned in the file.
    ///
    /// - Parameters:
    ///   - file: keeps the bytes
    ///   - bytes: of neighbouring elements
    ///   - type: of these
    package init?(
        _ file: SafeTensors,
        _ bytes: UnsafeRawBufferPointer,
        _ type: SafeTensors.ElementType
    ) {
        guard [.float32, .float16, .bfloat16].contains(type),
            Int(bitPattern: bytes.baseAddress) % type.size == 0
        else { return nil }
        (self.file, self.bytes, self.type) = (file, bytes, type)
    }

    /// Number of elements.
    var count: Int { bytes.count / type.size }

    /// Some neighbouring elements.
    func elements(_ range: Range<Int>) -> StoredWeight? {
        let part = range.lowerBound * type.size..<range.upperBound * type.size
        return StoredWeight(file, UnsafeRawBufferPointer(rebasing: bytes[part]), type)
    }

    /// The same in float32, flat.
    var tensor: Tensor { SafeTensors.floats(bytes, type, count: count) }
}
