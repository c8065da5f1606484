/// The checksums of a PNG's chunks.
package enum PNGSums {
    /// The same file with every checksum corrected, as far as its chunks can be followed.
    package static func mended(_ bytes: [UInt8]) -> [UInt8] {
        var bytes = bytes
        var at = 8
        while at + 12 <= bytes.count {
            let length = bytes[at..<at + 4].reduce(0) { $0 << 8 | Int($1) }
            guard length <= bytes.count - at - 12 else { break }
            let end = at + 8 + length
            let sum = crc(bytes[at + 4..<end])
            for i in 0..<4 {
                bytes[end + i] = UInt8(truncatingIfNeeded: sum >> (24 - 8 * UInt32(i)))
            }
            at = end + 4
        }
        return bytes
    }

    /// A PNG with an additional chunk before its pixels.
    package static func adding(_ kind: String, _ content: [UInt8], to png: [UInt8]) -> [UInt8] {
        let length = (0..<4).map { UInt8(truncatingIfNeeded: content.count >> (24 - 8 * $0)) }
        // The signature and IHDR take 33 bytes.
        return mended(
            png[..<33] + length + Array(kind.utf8) + content + [0, 0, 0, 0] + png[33...]
        )
    }

    /// CRC-32 as PNG defines it (ISO 3309), bit by bit.
    private static func crc(_ bytes: ArraySlice<UInt8>) -> UInt32 {
        var sum = UInt32.max
        for byte in bytes {
            sum ^= UInt32(byte)
            for _ in 0..<8 { sum = sum >> 1 ^ (sum & 1 == 1 ? 0xEDB8_8320 : 0) }
        }
        return ~sum
    }
}
