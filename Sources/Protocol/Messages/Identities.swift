import CSodium
import Engine

/// The version of the protocol that both sides must speak.
package let protocolVersion: UInt32 = 4

/// One piece of work: a view to predict or a tile to decode. Never used twice by one coordinator.
package struct UnitID: Hashable, Comparable, Sendable, CustomStringConvertible {
    package let rawValue: UInt64

    package init(_ rawValue: UInt64) {
        self.rawValue = rawValue
    }

    package static func < (a: UnitID, b: UnitID) -> Bool { a.rawValue < b.rawValue }
    package var description: String { "u\(rawValue)" }
}

/// Which weights a process holds.
package struct ModelIdentity: Hashable, Sendable {
    /// BLAKE2b-256 over the UNet's and VAE's configs and weights and the LoRA files merged into
    /// them, in lower-case hex.
    package let digest: String
    /// Where it was loaded from, for people.
    package let path: String

    package init(digest: String, path: String) {
        self.digest = digest
        self.path = path
    }
}

/// The embedding of one prompt, as it travels.
package struct PromptTensors: Sendable {
    /// `[1, tokens, width]`
    package let context: Tensor
    /// `[1, width]`, for models that want it.
    package let pooled: Tensor?

    package init(context: Tensor, pooled: Tensor?) {
        self.context = context
        self.pooled = pooled
    }

    /// The name under which workers keep it: see docs/protocol.md.
    package var digest: EmbeddingDigest {
        var bytes: [UInt8] = []
        for tensor in [context, pooled].compactMap(\.self) {
            for number in [tensor.shape.count] + tensor.shape {
                withUnsafeBytes(of: UInt32(number).littleEndian) { bytes.append(contentsOf: $0) }
            }
            bytes.append(contentsOf: TensorFrame.bytes(of: tensor, as: .f32))
        }
        return EmbeddingDigest(of: bytes)
    }
}

/// BLAKE2b-256 of a prompt embedding.
package struct EmbeddingDigest: Hashable, Sendable, CustomStringConvertible {
    package static let count = 32
    package let bytes: [UInt8]

    /// - Returns: nil unless there are 32 bytes
    package init?(bytes: [UInt8]) {
        guard bytes.count == Self.count else { return nil }
        self.bytes = bytes
    }

    init(of content: [UInt8]) {
        var digest = [UInt8](repeating: 0, count: Self.count)
        let status = crypto_generichash(
            &digest,
            digest.count,
            content,
            UInt64(content.count),
            nil,
            0
        )
        precondition(status == 0, "crypto_generichash: \(status)")
        bytes = digest
    }

    package var description: String {
        let digits = Array("0123456789abcdef")
        return String(bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] })
    }
}

/// Text that came from another process, made fit for a log: one line, at most 200 characters.
package func printable(_ text: String, limit: Int = 200) -> String {
    let line = text.unicodeScalars.prefix(limit).map { scalar -> Character in
        scalar.properties.generalCategory == .control || scalar == "\u{2028}"
            || scalar == "\u{2029}"
            ? "·" : Character(scalar)
    }
    return String(line)
}
