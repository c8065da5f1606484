import Engine
import Foundation

/// Key files: `FILE` holds the secret key, readable by its owner only, and `FILE.pub` the public key.
package enum KeyFile {
    /// Writes a new pair; existing files are not overwritten.
    ///
    /// - Returns: the public key
    /// - Throws: `InputError` if a file already exists or cannot be written
    package static func create(_ path: String) throws -> PublicKey {
        let pair = try KeyPair.new()
        try save(
            "# A secret key of Tessera. Whoever has it can pass for its owner.\n\(pair.secret)\n",
            to: path,
            mode: 0o600
        )
        do {
            try save("\(pair.publicKey)\n", to: path + ".pub", mode: 0o644)
        } catch {
            unlink(path)
            throw error
        }
        return pair.publicKey
    }

    /// Reads a pair.
    ///
    /// - Throws: `InputError` if the file contains no secret key, or others can read it
    package static func pair(_ path: String) throws(InputError) -> KeyPair {
        var status = stat()
        guard stat(path, &status) == 0 else { throw missing(path) }
        let mode = status.st_mode & 0o777
        guard mode & 0o077 == 0 else {
            throw InputError(
                path,
                "a secret key that others can read (mode \(String(mode, radix: 8)))",
                fix: "Call chmod 600 \(path), or make a new one if others may have read it"
            )
        }
        guard let pair = try lines(path).first.flatMap(KeyPair.init(secret:)) else {
            throw InputError(
                path,
                "there is no secret key in it",
                fix: "Give a file that tessera keys new made, without .pub"
            )
        }
        return pair
    }

    /// Reads the public key of a `.pub` file.
    ///
    /// - Throws: `InputError` if the file contains no public key
    package static func publicKey(_ path: String) throws(InputError) -> PublicKey {
        let lines = try lines(path)
        guard lines.count == 1, let key = PublicKey(text: lines[0]) else {
            throw InputError(
                path,
                "there is no public key in it",
                fix: "Give the .pub file of the coordinator's key"
            )
        }
        return key
    }

    /// Writes a public key, replacing any existing file.
    ///
    /// - Throws: `OutputError` if it cannot be written
    package static func savePublic(_ key: PublicKey, to path: String) throws(OutputError) {
        let file = try TemporaryFile(for: path)
        try file.write(Array("\(key)\n".utf8))
        try file.commit()
    }

    /// Reads the pair in a file, which is created if it does not exist.
    ///
    /// - Throws: `InputError` if it cannot be read or written
    package static func pairOrNew(_ path: String) throws -> KeyPair {
        var status = stat()
        if stat(path, &status) != 0, errno == ENOENT { _ = try create(path) }
        return try pair(path)
    }

    /// Reads a list of public keys: one per line, optionally followed by the owner's name.
    ///
    /// - Throws: `InputError` naming the line that is not a key
    package static func publicKeys(_ path: String) throws(InputError) -> Set<PublicKey> {
        var keys: Set<PublicKey> = []
        for (number, line) in try numberedLines(path) {
            let word = line.split(separator: " ", maxSplits: 1)[0]
            guard let key = PublicKey(text: String(word)) else {
                throw InputError(
                    "\(path):\(number)",
                    "this is not a public key",
                    fix: "Write one line of a worker's .pub file on each line"
                )
            }
            keys.insert(key)
        }
        return keys
    }

    /// Maximum size of a key file, in bytes.
    private static let maxBytes = 1 << 20

    private static func lines(_ path: String) throws(InputError) -> [String] {
        try numberedLines(path).map(\.1)
    }

    /// Non-empty lines without comments, with their line numbers, counted from 1.
    private static func numberedLines(_ path: String) throws(InputError) -> [(Int, String)] {
        guard FileManager.default.fileExists(atPath: path) else { throw missing(path) }
        let text = try InputFile.text(path, limit: maxBytes)
        return text.split(separator: "\n", omittingEmptySubsequences: false).enumerated()
            .map { ($0 + 1, $1.trimmingCharacters(in: .whitespaces)) }
            .filter { !$0.1.isEmpty && !$0.1.hasPrefix("# ") && $0.1 != "#" }
    }

    private static func save(_ text: String, to path: String, mode: mode_t) throws {
        let file = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode)
        guard file >= 0 else {
            let (code, fix) = (errno, "Choose another path")
            guard code != EEXIST else {
                throw InputError(path, "it exists already, and a key may be in use", fix: fix)
            }
            throw InputError(path, "it cannot be written", code: code, fix: fix)
        }
        defer { close(file) }
        let bytes = Array(text.utf8)
        guard write(file, bytes, bytes.count) == bytes.count, fsync(file) == 0 else {
            let code = errno
            unlink(path)
            throw InputError(path, "it cannot be written", code: code, fix: "Free some disk space")
        }
    }

    private static func missing(_ path: String) -> InputError {
        InputError(
            path,
            "it cannot be read",
            fix: "Check the path; tessera keys new FILE makes a key"
        )
    }
}
