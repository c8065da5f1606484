import Engine
import Foundation

/// Everything that a machine needs to join a cluster, in one line: `tessera://HOST:PORT#CODE`.
///
/// The code is the base64url encoding of a format byte, the coordinator's public key, the secret key of a key pair that
/// was created for this invitation, and a checksum over these. The checksum does not cover the address, so it may be
/// replaced by a tunnel's address.
package struct InvitationCode: Sendable {
    package let host: String
    package let port: UInt16
    package let coordinator: PublicKey
    /// The invitation's own key pair.
    package let pair: KeyPair

    private static let prefix = "tessera://"
    private static let format: UInt8 = 1
    private static let checksumBytes = 4
    private static let length = (1 + 32 + 32 + checksumBytes) / 3 * 4

    package init(host: String, port: UInt16, coordinator: PublicKey, pair: KeyPair) {
        (self.host, self.port) = (host, port)
        (self.coordinator, self.pair) = (coordinator, pair)
    }

    /// The invitation as text. Anybody who has it may join.
    package var text: String {
        let content = [Self.format] + coordinator.bytes + pair.secretBytes
        let code = Data(content + Self.checksum(content)).base64EncodedString()
            .replacing("+", with: "-").replacing("/", with: "_")
        return "\(Self.prefix)\(host):\(port)#\(code)"
    }

    /// Where the coordinator listens.
    package var endpoint: String { "tcp://\(host):\(port)" }

    /// Parses an invitation. Errors do not quote it, because it is a secret.
    ///
    /// - Throws: `InputError` that says what is wrong with it
    package init(_ text: String) throws(InputError) {
        let isOneWord = !text.unicodeScalars.contains { scalar in
            scalar.properties.isWhitespace || scalar.properties.generalCategory == .control
        }
        guard isOneWord else { throw Self.torn }
        guard text.hasPrefix(Self.prefix) else {
            throw Self.fault("it does not begin with \(Self.prefix)", Self.copyAgain)
        }
        let parts = text.dropFirst(Self.prefix.count)
            .split(separator: "#", maxSplits: 1, omittingEmptySubsequences: false)
        guard parts.count == 2 else {
            throw Self.fault("the code after # is missing", Self.copyAgain)
        }
        (host, port) = try Self.address(String(parts[0]))
        (coordinator, pair) = try Self.keys(String(parts[1]))
    }

    /// The error if the second of two command-line words is the rest of an invitation that was split at a space;
    /// otherwise nil. The second word may begin like a flag, so a parser rejects it as one.
    package static func tear(between first: String, and second: String) -> InputError? {
        let isInvitation = first.hasPrefix(prefix) && first.contains("#")
        return isInvitation && second.hasPrefix("-") && (try? Self(first)) == nil ? torn : nil
    }

    private static let torn = fault("it contains a space or a line break", copyAgain)
    private static let copyAgain =
        "Copy the whole line that tessera cluster invite printed, as one word"

    private static func fault(_ problem: String, _ remedy: String) -> InputError {
        InputError("the invitation", problem, fix: remedy)
    }

    private static func address(_ text: String) throws(InputError) -> (String, UInt16) {
        guard let place = HostPort(text), let port = place.port, port > 0, place.host != "*" else {
            throw fault("its address is not HOST:PORT", copyAgain)
        }
        return (place.written, port)
    }

    private static func keys(_ code: String) throws(InputError) -> (PublicKey, KeyPair) {
        guard code.utf8.count == length else {
            throw fault(
                "its code has \(code.utf8.count) characters, a whole one has \(length)",
                copyAgain
            )
        }
        let base64 = code.replacing("-", with: "+").replacing("_", with: "/")
        guard let bytes = Data(base64Encoded: base64).map(Array.init) else {
            throw fault("a character of its code is wrong", copyAgain)
        }
        let content = Array(bytes.dropLast(checksumBytes))
        guard checksum(content) == Array(bytes.suffix(checksumBytes)) else {
            throw fault("a character of its code is wrong", copyAgain)
        }
        guard content.first == format else {
            throw fault("it was made by a newer Tessera", "Update Tessera on this machine")
        }
        guard let coordinator = PublicKey(bytes: Array(content[1..<33])),
            let pair = KeyPair(secretBytes: Array(content[33...]))
        else { throw fault("a character of its code is wrong", copyAgain) }
        return (coordinator, pair)
    }

    private static func checksum(_ bytes: [UInt8]) -> [UInt8] {
        Array(PublicKey.digest(of: bytes).prefix(checksumBytes))
    }
}
