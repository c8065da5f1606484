import Engine
import Foundation
import GRDB

extension JobStore {
    /// Makes a token; its text is told once, here, and stored nowhere.
    ///
    /// - Parameters:
    ///   - user: whose jobs it submits
    ///   - scopes: what it allows
    ///   - note: what it is for
    ///   - expires: seconds since 1970; nil for no end
    ///   - quota: limits in place of the service's
    ///   - now: seconds since 1970
    /// - Returns: the text, and what is stored of it
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

    /// All tokens, the oldest first.
    package func tokens() throws -> [Token] {
        try read { try Token.order(Column("created"), Column("id")).fetchAll($0) }
    }

    /// Whether there is a token, valid or not: then every request needs one.
    package func hasTokens() throws -> Bool {
        try read { try Bool.fetchOne($0, sql: "SELECT EXISTS (SELECT 1 FROM token)") ?? false }
    }

    /// The token with a text; nil if there is none, or its time is over.
    package func token(_ text: String, now: Double) throws -> Token? {
        guard let id = TokenText.id(of: text) else { return nil }
        let found = try read { try Token.filter(Column("id") == id).fetchOne($0) }
        guard let found, TokenText.areEqual(found.hash, TokenText.hash(text)),
            found.isValid(at: now)
        else { return nil }
        return found
    }

    /// Whether someone who was let in may stay: their token is still valid, or there is still no token at all.
    ///
    /// - Parameters:
    ///   - caller: as they came
    ///   - now: seconds since 1970
    /// - Returns: whether a request of theirs would be answered
    /// - Throws: `DatabaseError`
    package func admits(_ caller: Caller, now: Double) throws -> Bool {
        guard let id = caller.token else { return try !hasTokens() }
        return try read { try Token.filter(Column("id") == id).fetchOne($0) }?.isValid(at: now)
            ?? false
    }

    /// Removes a token.
    ///
    /// - Returns: whether it was there
    package func revokeToken(_ id: String) throws -> Bool {
        try write { database in
            try database.execute(sql: "DELETE FROM token WHERE id = ?", arguments: [id])
            return database.changesCount == 1
        }
    }
}
