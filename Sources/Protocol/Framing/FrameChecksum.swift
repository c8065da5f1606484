import CZlib

/// Checksums of frames: a bit that flips between two processes is told from a worker that computes wrong.
///
/// CRC-32 as zlib, PNG and every language's library have it: some GB/s, where a view takes a tenth of a second and its
/// tensors are a few hundred KB.
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

    /// The tag of `Envelope.checksum`, and the bytes of the whole field.
    private static let tag: [UInt8] = [0xb5, 0x01]
    private static let length = 6

    /// A serialised envelope without a checksum, with one at its end.
    static func sealed(_ envelope: [UInt8]) -> [UInt8] {
        let sum = of(envelope)
        return envelope + tag + (0..<4).map { UInt8(truncatingIfNeeded: sum >> (8 * $0)) }
    }

    /// Whether an envelope that ends as one with a checksum has the wrong one.
    static func isDamaged(_ envelope: [UInt8]) -> Bool {
        guard envelope.count >= length, envelope.suffix(length).starts(with: tag) else {
            return false
        }
        let sum = envelope.suffix(4).reversed().reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
        return of(envelope.dropLast(length)) != sum
    }
}
