import Engine
import Foundation
import GRDB

/// What the owner of a token may do.
package enum TokenScope: String, CaseIterable, Codable, Sendable {
    /// See one's own jobs and pictures, and models, workers and metrics.
    case read
    /// Submit, change and delete one's own jobs.
    case submit
    /// All of this for every user's jobs.
    case admin

    /// Parses a list such as `read,submit`.
    ///
    /// - Throws: `InputError` for an unknown or missing name
    package static func set(_ text: String, flag: String) throws(InputError) -> Set<TokenScope> {
        var scopes: Set<TokenScope> = []
        for name in text.split(separator: ",") {
            guard let scope = TokenScope(rawValue: name.trimmingCharacters(in: .whitespaces)) else {
                throw InputError(
                    "\(flag) \(text)",
                    "'\(name)' is not a scope",
                    fix: "Choose from " + allCases.map(\.rawValue).joined(separator: ", ")
                )
            }
            scopes.insert(scope)
        }
        guard !scopes.isEmpty else {
            throw InputError("\(flag) \(text)", "it names no scope", fix: "Write read,submit")
        }
        return scopes
    }

    /// The inverse of `set`.
    package static func text(_ scopes: Set<TokenScope>) -> String {
        allCases.filter(scopes.contains).map(\.rawValue).joined(separator: ",")
    }
}

/// What the database stores about a token, but not the token itself.
package struct Token: Codable, Equatable, Sendable, FetchableRecord, PersistableRecord {
    package static let databaseTableName = "token"

    /// The first part of the token, which identifies it in lists.
    package let id: String
    /// The user whose jobs it submits.
    package let user: String
    /// Scopes in the format of `TokenScope.text`.
    package let scopes: String
    /// Its purpose, as described by its creator.
    package let note: String
    /// Digest of the whole token.
    package let hash: String
    /// Seconds since 1970.
    package let created: Double
    /// Expiry in seconds since 1970; nil if it does not expire.
    package let expires: Double?
    /// Limits that override the service's; JSON in the database.
    package let quota: UserQuota?

    /// The parsed scopes.
    package var scopeSet: Set<TokenScope> {
        Set(scopes.split(separator: ",").compactMap { TokenScope(rawValue: String($0)) })
    }

    /// Whether the token has not expired at a given time.
    package func isValid(at now: Double) -> Bool { expires.map { now < $0 } ?? true }
}

/// Text format of tokens: `tessera_ID_SECRET`. The secret has 160 random bits, so an unsalted digest is enough: nobody
/// can try that many.
package enum TokenText {
    private static let prefix = "tessera"
    private static let alphabet = Array("0123456789abcdefghjkmnpqrstvwxyz")

    /// Generates a new token.
    package static func random() -> String {
        "\(prefix)_\(word(8))_\(word(32))"
    }

    private static func word(_ count: Int) -> String {
        var generator = SystemRandomNumberGenerator()
        return String((0..<count).map { _ in alphabet[Int.random(in: 0..<32, using: &generator)] })
    }

    /// The id of a token; nil if the text is not a token.
    package static func id(of text: String) -> String? {
        let parts = text.split(separator: "_", omittingEmptySubsequences: false)
        guard parts.count == 3, parts[0] == prefix, parts[1].count == 8, parts[2].count == 32 else {
            return nil
        }
        return String(parts[1])
    }

    /// BLAKE2b-256 digest in hexadecimal.
    package static func hash(_ text: String) -> String {
        let hash = FileHash()
        hash.add(text: text)
        return hash.finish()
    }

    /// Compares two digests in constant time.
    package static func areEqual(_ a: String, _ b: String) -> Bool {
        let (a, b) = (Array(a.utf8), Array(b.utf8))
        guard a.count == b.count else { return false }
        return zip(a, b).reduce(UInt8(0)) { $0 | ($1.0 ^ $1.1) } == 0
    }
}
