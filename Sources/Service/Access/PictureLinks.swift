import Engine
import Foundation
import Glibc

/// Links to finished pictures that work without a token, for those to whom they were given: nobody can guess them, nor make
/// them of a job's id.
package struct PictureLinks: Sendable {
    /// Of this data folder.
    private let secret: String

    /// Seconds after the end of its job for which a link works.
    package static let seconds = 3600.0

    /// Reads the folder's secret, or makes one.
    ///
    /// - Parameter path: of its file
    /// - Throws: `OutputError` when it cannot be written
    package init(secretFile path: String) throws {
        if let known = try? String(contentsOfFile: path, encoding: .utf8), known.count == 64 {
            secret = known
            return
        }
        var generator = SystemRandomNumberGenerator()
        secret = (0..<64).map { _ in
            String(UInt8.random(in: 0..<16, using: &generator), radix: 16)
        }.joined()
        let file = try TemporaryFile(for: path)
        guard fchmod(file.descriptor, 0o600) == 0 else {
            throw OutputError(path, String(cString: strerror(errno)))
        }
        try file.write(Array(secret.utf8))
        try file.commit()
    }

    /// The last part of the link to a job's picture.
    package func name(of id: String) -> String { "\(id)-\(code(id))" }

    /// The job of a link; nil for one that was not made here.
    package func id(of name: String) -> String? {
        let parts = name.split(separator: "-", omittingEmptySubsequences: false)
        guard parts.count == 2, TokenText.areEqual(String(parts[1]), code(String(parts[0]))) else {
            return nil
        }
        return String(parts[0])
    }

    /// BLAKE2 cannot be extended: a digest behind the secret is a code that only its owner can make (RFC 7693, 1).
    private func code(_ id: String) -> String {
        String(TokenText.hash("\(secret)/\(id)").prefix(40))
    }
}
