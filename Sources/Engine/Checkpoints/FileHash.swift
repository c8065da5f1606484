import CSodium
import Foundation

/// BLAKE2b-256 over contents of files, length-prefixed strings, and bytes.
package final class FileHash {
    private static let bytes = 32
    private let memory = UnsafeMutableRawPointer.allocate(
        byteCount: crypto_generichash_statebytes(),
        alignment: 64
    )
    private var state: OpaquePointer { OpaquePointer(memory) }

    package init() { crypto_generichash_init(state, nil, 0, Self.bytes) }

    deinit { memory.deallocate() }

    /// Adds a string, preceded by its length in eight bytes.
    package func add(text: String) {
        let bytes = Array(text.utf8)
        let length = (0..<8).map { UInt8(truncatingIfNeeded: bytes.count >> (8 * $0)) }
        crypto_generichash_update(state, length, UInt64(length.count))
        crypto_generichash_update(state, bytes, UInt64(bytes.count))
    }

    /// Adds the digest of a file's content, as a string.
    func add(file: String) throws(InputError) {
        add(text: try FileDigest.of(file, cache: UserFolder.cache.named("digests")))
    }

    /// Adds a file's content, a chunk at a time.
    func add(contentOf file: String) throws(InputError) {
        let (descriptor, _) = try InputFile.open(file)
        defer { close(descriptor) }
        var buffer = [UInt8](repeating: 0, count: 1 << 20)
        while true {
            let count = read(descriptor, &buffer, buffer.count)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else {
                throw InputError(file, "it cannot be read to its end", fix: "Check the disk")
            }
            if count == 0 { return }
            crypto_generichash_update(state, buffer, UInt64(count))
        }
    }

    /// SHA-256 of a file's content, in hexadecimal: what other programs call the hash of a model.
    ///
    /// - Parameters:
    ///   - file: its path
    ///   - offset: the position of the first byte to hash
    /// - Returns: 64 digits
    /// - Throws: `InputError` if the file is missing or unreadable
    package static func sha256(of file: String, from offset: Int = 0) throws(InputError) -> String {
        let (descriptor, _) = try InputFile.open(file)
        defer { close(descriptor) }
        lseek(descriptor, off_t(offset), SEEK_SET)
        var state = crypto_hash_sha256_state()
        crypto_hash_sha256_init(&state)
        var buffer = [UInt8](repeating: 0, count: 1 << 20)
        while true {
            let count = read(descriptor, &buffer, buffer.count)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else {
                throw InputError(file, "it cannot be read to its end", fix: "Check the disk")
            }
            if count == 0 { break }
            crypto_hash_sha256_update(&state, buffer, UInt64(count))
        }
        var hash = [UInt8](repeating: 0, count: 32)
        crypto_hash_sha256_final(&state, &hash)
        return hash.map { String(format: "%02x", $0) }.joined()
    }

    /// Adds bytes without a length prefix.
    package func add(bytes: UnsafeRawBufferPointer) {
        let start = bytes.bindMemory(to: UInt8.self).baseAddress
        crypto_generichash_update(state, start, UInt64(bytes.count))
    }

    /// The hash, in hexadecimal. Call once.
    package func finish() -> String { digest().map { String(format: "%02x", $0) }.joined() }

    /// The hash's 32 bytes. Call once.
    package func digest() -> [UInt8] {
        var hash = [UInt8](repeating: 0, count: Self.bytes)
        crypto_generichash_final(state, &hash, Self.bytes)
        return hash
    }
}
