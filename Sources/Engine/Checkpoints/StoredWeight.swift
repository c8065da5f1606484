/// A weight as stored in its memory-mapped file, for devices that convert it themselves.
package struct StoredWeight {
    /// Keeps the bytes mapped.
    private let file: SafeTensors
    /// The elements in order, as F32, F16 or BF16.
    let bytes: UnsafeRawBufferPointer
    let type: SafeTensors.ElementType

    /// Nil for types that some devices cannot read, and if the elements are not aligned in the file.
    ///
    /// - Parameters:
    ///   - file: the file, which keeps the bytes mapped
    ///   - bytes: the bytes of consecutive elements
    ///   - type: their type
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

    /// A range of consecutive elements.
    func elements(_ range: Range<Int>) -> StoredWeight? {
        let part = range.lowerBound * type.size..<range.upperBound * type.size
        return StoredWeight(file, UnsafeRawBufferPointer(rebasing: bytes[part]), type)
    }

    /// The elements as float32, flat.
    var tensor: Tensor { SafeTensors.floats(bytes, type, count: count) }
}
