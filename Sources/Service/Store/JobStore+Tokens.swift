import Engine
import Foundation
import GRDB

extension JobStore {
    /// Creates a token. Its text is returned only here and is not stored.
    ///
    /// - Parameters:
    ///   - user: the user whose jobs it submits
    ///   - scopes: what the token allows
    ///   - note: purpose of the token
    ///   - expires: expiry in seconds since 1970; nil if it does not expire
    ///   - quota: limits that override the service's
    ///   - now: seconds since 1970
    /// - Returns: the text of the token, and what is stored about it
    /// - Throws: `DatabaseError`
    package func createToken(
        user: String,
        scopes: Set<TokenScope>,
        note: String,
        expires: Double?,
        quota: UserQuota = UserQuota(),
        now: Double
    ) throws -> (text: String, token: Token) {
        let text = TokenText.random()
        let token = Token(
            id: TokenText.id(of: text) ?? "",
            user: user,
            scopes: TokenScope.text(scopes),
            note: note,
            hash: TokenText.hash(text),
            created: now,
            expires: expires,
            quota: quota == UserQuota() ? nil : quota
        )
        try write { try token.insert($0) }
        return (text, token)
    }

    /// All tokens, oldest first.
    package func tokens() throws -> [Token] {
        try read { try Token.order(Column("created"), Column("id")).fetchAll($0) }
    }

    /// Whether any token exists, valid or not: then every request requires one.
    package func hasTokens() throws -> Bool {
        try read { try Bool.fetchOne($0, sql: "SELECT EXISTS (SELECT 1 FROM token)") ?? false }
    }

    /// The token with this text; nil if there is none or it has expired.
    package func token(_ text: String, now: Double) throws -> Token? {
        guard let id = TokenText.id(of: text) else { return nil }
        let found = try read { try Token.filter(Column("id") == id).fetchOne($0) }
        guard let found, TokenText.areEqual(found.hash, TokenText.hash(text)),
            found.isValid(at: now)
        else { return nil }
        return found
    }

    /// Whether a caller who was admitted still has access: their token is still valid, or there are still no tokens.
    ///
    /// - Parameters:
    ///   - caller: the caller as admitted
    ///   - now: seconds since 1970
    /// - Returns: whether a new request of theirs would be admitted
    /// - Throws: `DatabaseError`
    package func admits(_ caller: Caller, now: Double) throws -> Bool {
        guard let id = caller.token else { return try !hasTokens() }
        return try read { try Token.filter(Column("id") == id).fetchOne($0) }?.isValid(at: now)
            ?? false
    }

    /// Revokes a token by removing it.
    ///
    /// - Returns: whether the token existed
    package func revokeToken(_ id: String) throws -> Bool {
        try write { database in
            try database.execute(sql: "DELETE FROM token WHERE id = ?", arguments: [id])
            return database.changesCount == 1
        }
    }
}
