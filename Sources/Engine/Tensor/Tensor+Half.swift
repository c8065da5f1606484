import CKernels

extension Tensor {
    /// The elements rounded to IEEE half precision, little-endian, two bytes each. Values out of range become infinite.
    package var halves: [UInt8] {
        withFloats { x in
            [UInt8](unsafeUninitializedCapacity: 2 * x.count) { bytes, count in
                count = 2 * x.count
                if let from = x.baseAddress, let to = bytes.baseAddress {
                    tessera_to_half(from, to, x.count)
                }
            }
        }
    }

    /// Decodes half-precision elements, as encoded by `halves`.
    package init(halves bytes: [UInt8], shape: [Int]) {
        precondition(bytes.count == 2 * shape.reduce(1, *), "\(bytes.count) bytes for \(shape)")
        self.init(shape: shape) { out in
            bytes.withUnsafeBytes { bytes in
                if let from = bytes.baseAddress, let to = out.baseAddress {
                    tessera_from_half(from, to, out.count)
                }
            }
        }
    }
}
