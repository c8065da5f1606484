import CZeroMQ
import Engine
import Foundation

/// The public half of a CURVE key pair (CurveZMQ, ZeroMQ RFC 26). It identifies a coordinator or a worker, and is not
/// secret.
package struct PublicKey: Hashable, Sendable, CustomStringConvertible {
    /// 32 bytes in Z85 (ZeroMQ RFC 32): 40 characters.
    package let text: String

    /// - Returns: nil unless the text is 40 characters of Z85
    package init?(text: String) {
        guard Z85.isKey(text) else { return nil }
        self.text = text
    }

    /// Wraps a key that has already been validated.
    ///
    /// - Returns: nil if the text is empty
    init?(checked text: String) {
        guard !text.isEmpty else { return nil }
        self.text = text
    }

    /// - Returns: nil unless there are 32 bytes
    package init?(bytes: [UInt8]) {
        guard bytes.count == 32, let text = Z85.text(of: bytes) else { return nil }
        self.text = text
    }

    package var description: String { text }

    /// The 32 bytes.
    package var bytes: [UInt8] { Z85.bytes(of: text) }

    /// A fingerprint for comparison by people: 16 hexadecimal digits in groups of four.
    package var fingerprint: String {
        let digits = Array(
            Self.digest(of: bytes).prefix(8).map { String(format: "%02x", $0) }.joined()
        )
        return stride(from: 0, to: 16, by: 4).map { String(digits[$0..<$0 + 4]) }
            .joined(separator: "-")
    }

    /// The BLAKE2b-256 digest.
    static func digest(of bytes: [UInt8]) -> [UInt8] {
        let hash = FileHash()
        bytes.withUnsafeBytes { hash.add(bytes: $0) }
        return hash.digest()
    }
}

extension PublicKey: Codable {
    package init(from decoder: any Decoder) throws {
        let text = try decoder.singleValueContainer().decode(String.self)
        guard let key = PublicKey(text: text) else {
            throw DecodingError.dataCorrupted(
                .init(codingPath: decoder.codingPath, debugDescription: "this is not a public key")
            )
        }
        self = key
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(text)
    }
}

/// A CURVE key pair. The secret key is never printed.
package struct KeyPair: Sendable {
    package let publicKey: PublicKey
    let secret: String

    /// Creates a random pair.
    ///
    /// - Throws: `SocketError` if ZeroMQ was built without CURVE
    package static func new() throws -> KeyPair {
        var (open, secret) = ([CChar](repeating: 0, count: 41), [CChar](repeating: 0, count: 41))
        guard zmq_curve_keypair(&open, &secret) == 0 else { throw SocketError.last("CURVE") }
        guard let publicKey = PublicKey(text: String(zeroEnded: open)) else {
            preconditionFailure("ZeroMQ made an invalid key")
        }
        return KeyPair(publicKey: publicKey, secret: String(zeroEnded: secret))
    }

    private init(publicKey: PublicKey, secret: String) {
        (self.publicKey, self.secret) = (publicKey, secret)
    }

    /// Creates the pair from its secret key.
    ///
    /// - Returns: nil unless there are 32 bytes
    init?(secretBytes: [UInt8]) {
        guard secretBytes.count == 32, let secret = Z85.text(of: secretBytes) else { return nil }
        self.init(secret: secret)
    }

    /// The bytes of the secret key, for an invitation.
    var secretBytes: [UInt8] { Z85.bytes(of: secret) }

    /// Creates the pair from its secret key.
    ///
    /// - Returns: nil unless it is 40 characters of Z85
    init?(secret: String) {
        guard Z85.isKey(secret) else { return nil }
        var open = [CChar](repeating: 0, count: 41)
        guard zmq_curve_public(&open, secret) == 0,
            let key = PublicKey(text: String(zeroEnded: open))
        else { return nil }
        self.init(publicKey: key, secret: secret)
    }
}

/// Keys as text, in ZeroMQ's Z85 format.
enum Z85 {
    private static let alphabet = Set(
        "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"
    )

    /// Whether the text encodes 32 bytes.
    static func isKey(_ text: String) -> Bool {
        guard text.utf8.count == 40, text.allSatisfy(alphabet.contains) else { return false }
        var bytes = [UInt8](repeating: 0, count: 32)
        return zmq_z85_decode(&bytes, text) != nil
    }

    /// The 32 bytes of a valid key.
    static func bytes(of key: String) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: 32)
        guard key.utf8.count == 40, zmq_z85_decode(&bytes, key) != nil else {
            preconditionFailure("a key that was checked is invalid")
        }
        return bytes
    }

    /// Encodes bytes, whose number must be a multiple of four, as text.
    static func text(of bytes: [UInt8]) -> String? {
        var text = [CChar](repeating: 0, count: bytes.count / 4 * 5 + 1)
        return zmq_z85_encode(&text, bytes, bytes.count) == nil ? nil : String(zeroEnded: text)
    }
}
