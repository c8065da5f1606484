import Engine
import Glibc

/// A range of IP addresses, written as `10.0.0.5`, `10.0.0.0/8` or `fd00::/8`. Pure.
package struct AddressRange: Equatable, Sendable {
    private let bytes: [UInt8]
    private let bits: Int

    /// - Throws: `InputError` naming the flag
    package init(_ text: String, flag: String) throws(InputError) {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard let bytes = Self.bytes(String(parts[0])), parts.count <= 2,
            let bits = parts.count == 2 ? Int(parts[1]) : bytes.count * 8,
            (0...bytes.count * 8).contains(bits)
        else {
            throw InputError(
                "\(flag) \(text)",
                "it is not an IP address or a range of them",
                fix: "Write 10.0.0.5 or 10.0.0.0/8"
            )
        }
        (self.bytes, self.bits) = (bytes, bits)
    }

    /// Whether an address is in the range.
    package func contains(_ address: String) -> Bool {
        guard let other = Self.bytes(address), other.count == bytes.count else { return false }
        let (whole, rest) = bits.quotientAndRemainder(dividingBy: 8)
        guard bytes.prefix(whole) == other.prefix(whole) else { return false }
        guard rest > 0 else { return true }
        let difference: UInt8 = bytes[whole] ^ other[whole]
        return difference >> UInt8(8 - rest) == 0
    }

    /// The bytes of an address; an IPv4-mapped IPv6 address counts as IPv4.
    private static func bytes(_ text: String) -> [UInt8]? {
        var four = [UInt8](repeating: 0, count: 4)
        if inet_pton(AF_INET, text, &four) == 1 { return four }
        var sixteen = [UInt8](repeating: 0, count: 16)
        guard inet_pton(AF_INET6, text, &sixteen) == 1 else { return nil }
        let mapped: [UInt8] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF]
        return Array(sixteen.prefix(12)) == mapped ? Array(sixteen.suffix(4)) : sixteen
    }
}
