import Engine
import Foundation
import Glibc

/// Links to finished pictures that work without a token, for those who were given them: they cannot be guessed or
/// derived from a job's id.
package struct PictureLinks: Sendable {
    /// The secret of this data folder.
    private let secret: String

    /// Lifetime of a link in seconds, from the end of its job.
    package static let seconds = 3600.0

    /// Loads the folder's secret, or generates one.
    ///
    /// - Parameter path: path of the secret's file
    /// - Throws: `OutputError` if the file cannot be written
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

    /// The job id of a link; nil for a link that was not created with this secret.
    package func id(of name: String) -> String? {
        let parts = name.split(separator: "-", omittingEmptySubsequences: false)
        guard parts.count == 2, TokenText.areEqual(String(parts[1]), code(String(parts[0]))) else {
            return nil
        }
        return String(parts[0])
    }

    /// BLAKE2 is not subject to length extension, so a digest with a secret prefix is a MAC (RFC 7693, 1).
    private func code(_ id: String) -> String {
        String(TokenText.hash("\(secret)/\(id)").prefix(40))
    }
}
