import Foundation

/// BLAKE2b-256 of a file's content, as `b2sum -l 256` prints it.
///
/// Hashing 7 GB takes ten seconds at every start of every process, so the digests of large files
/// are cached in the user's cache directory. The key is what changes when a file is written to:
/// device, inode, size, modification time and change time. A file changed within the last few seconds is not cached,
/// because it may still change without its timestamps changing.
package enum FileDigest {
    /// - Parameters:
    ///   - path: the file's path
    ///   - cache: the folder of cached digests; nil disables the cache
    ///   - smallest: minimum size in bytes for which digests are cached
    ///   - settling: seconds for which a file must have been unchanged to be cached
    /// - Returns: the digest in hexadecimal
    /// - Throws: `InputError` if the file is missing or unreadable
    package static func of(
        _ path: String,
        cache: String?,
        smallest: Int = 64 << 20,
        settling: Int = 2
    ) throws(InputError) -> String {
        guard let cache, let before = FileIdentity(of: path), before.size >= smallest else {
            return try computed(path)
        }
        let key = FileHash()
        key.add(text: before.text)
        let entry = "\(cache)/\(key.finish())"
        if let bytes = try? InputFile.bytes(entry, limit: digestLength),
            let known = String(validating: bytes, as: UTF8.self), isDigest(known)
        {
            return known
        }
        let digest = try computed(path)
        guard FileIdentity(of: path) == before, before.isSettled(for: settling) else {
            return digest
        }
        // If the cache is read-only or full, the next start hashes again.
        try? FileManager.default.createDirectory(
            atPath: cache,
            withIntermediateDirectories: true,
            attributes: [.posixPermissions: 0o700]
        )
        try? Data(digest.utf8).write(to: URL(fileURLWithPath: entry), options: .atomic)
        return digest
    }

    /// Number of hexadecimal digits in a BLAKE2b-256 digest.
    private static let digestLength = 64

    private static func isDigest(_ text: String) -> Bool {
        text.utf8.count == digestLength
            && text.utf8.allSatisfy { (48...57).contains($0) || (97...102).contains($0) }
    }

    private static func computed(_ path: String) throws(InputError) -> String {
        let hash = FileHash()
        try hash.add(contentOf: path)
        return hash.finish()
    }

    /// Size of a file in bytes; 0 if there is none.
    static func size(of path: String) -> Int { FileIdentity(of: path)?.size ?? 0 }
}
