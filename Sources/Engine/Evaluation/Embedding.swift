import CSodium

/// Tensors that are sent to a worker once and that units of work reference by digest: an encoded prompt, or tokens of a
/// picture that its tiles attend to.
package struct Embedding: Sendable, Equatable {
    /// The prompt embedding or the picture's tokens, `[1, tokens, width]`.
    package let context: Tensor
    /// `[1, width]`, for models that use a pooled embedding.
    package let pooled: Tensor?
    package let digest: EmbeddingDigest

    package init(context: Tensor, pooled: Tensor? = nil) {
        self.context = context
        self.pooled = pooled
        digest = EmbeddingDigest(of: [context] + (pooled.map { [$0] } ?? []))
    }

    package static func == (a: Embedding, b: Embedding) -> Bool { a.digest == b.digest }
}

/// BLAKE2b-256 of an embedding, as docs/protocol.md defines it.
package struct EmbeddingDigest: Hashable, Sendable, CustomStringConvertible {
    package static let count = 32
    package let bytes: [UInt8]

    /// - Returns: nil if there are not exactly 32 bytes
    package init?(bytes: [UInt8]) {
        guard bytes.count == Self.count else { return nil }
        self.bytes = bytes
    }

    fileprivate init(of tensors: [Tensor]) {
        #if _endian(big)
        #error(
            "Digests are those of little-endian floats: a big-endian host would have to swap them."
        )
        #endif
        var content: [UInt8] = []
        for tensor in tensors {
            for number in [tensor.shape.count] + tensor.shape {
                withUnsafeBytes(of: UInt32(number).littleEndian) { content.append(contentsOf: $0) }
            }
            tensor.withFloats { content.append(contentsOf: UnsafeRawBufferPointer($0)) }
        }
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
