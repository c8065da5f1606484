import CZlib

/// Checksums of frames. They distinguish a bit that flips in transit from a worker that computes wrong results.
///
/// CRC-32 as implemented by zlib, PNG and every language's library: it runs at some GB/s, while a view takes a tenth of
/// a second and its tensors are a few hundred KB.
package enum FrameChecksum {
    /// CRC-32 of some bytes.
    package static func of(_ bytes: some Sequence<UInt8>) -> UInt32 {
        let sum = bytes.withContiguousStorageIfAvailable { crc32_z(0, $0.baseAddress, $0.count) }
        return UInt32(
            truncatingIfNeeded: sum
                ?? Array(bytes).withUnsafeBufferPointer {
                    crc32_z(0, $0.baseAddress, $0.count)
                }
        )
    }

    /// The tag of `Envelope.checksum`, and the length of the whole field in bytes.
    private static let tag: [UInt8] = [0xb5, 0x01]
    private static let length = 6

    /// Appends a checksum to a serialised envelope.
    static func sealed(_ envelope: [UInt8]) -> [UInt8] {
        let sum = of(envelope)
        return envelope + tag + (0..<4).map { UInt8(truncatingIfNeeded: sum >> (8 * $0)) }
    }

    /// Whether an envelope ends with a checksum field and the checksum is wrong.
    static func isDamaged(_ envelope: [UInt8]) -> Bool {
        guard envelope.count >= length, envelope.suffix(length).starts(with: tag) else {
            return false
        }
        let sum = envelope.suffix(4).reversed().reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
        return of(envelope.dropLast(length)) != sum
    }
}
