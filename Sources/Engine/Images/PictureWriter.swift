/// Bits per sample in a file.
package enum PixelDepth: Int, CaseIterable, Sendable {
    case eight = 8
    case sixteen = 16

    /// Bytes per RGB pixel.
    package var pixel: Int { 3 * rawValue / 8 }

    /// Converts −1…1 to 0…255 or 0…65535, rounded to nearest, in native byte order.
    package func bytes(_ rows: Tensor) -> [UInt8] {
        rows.withFloats { x in
            switch self {
            case .eight: x.map { UInt8((min(max($0 * 0.5 + 0.5, 0), 1) * 255).rounded()) }
            case .sixteen:
                [UInt8](unsafeUninitializedCapacity: 2 * x.count) { out, count in
                    for i in x.indices {
                        let value = UInt16((min(max(x[i] * 0.5 + 0.5, 0), 1) * 65535).rounded())
                        UnsafeMutableRawBufferPointer(out)
                            .storeBytes(of: value, toByteOffset: 2 * i, as: UInt16.self)
                    }
                    count = 2 * x.count
                }
            }
        }
    }
}

/// Writes a picture row by row under a temporary name; the file gets its final name when it is complete.
///
/// Used by one thread at a time.
package protocol PictureWriter: AnyObject {
    /// Appends whole rows of RGB, as `PixelDepth.bytes` makes them.
    ///
    /// - Throws: `OutputError` if the disk is full or broken
    func write(rows: [UInt8]) throws(OutputError)

    /// Completes the file and gives it its final name.
    ///
    /// - Parameter numbered: if the name is taken, whether to choose another one, such as `name-2.png`,
    ///   instead of replacing the file
    /// - Returns: the name of the file
    /// - Throws: `OutputError` if it cannot be completed
    @discardableResult
    func finish(numbered: Bool) throws(OutputError) -> String
}

extension PictureWriter {
    /// Completes the file and gives it its final name, replacing any existing file.
    ///
    /// - Throws: `OutputError` if it cannot be completed
    package func finish() throws(OutputError) { try finish(numbered: false) }
}
