import Engine
import Foundation

/// Who sent a request, and what they may do. Pure.
package struct Caller: Equatable, Sendable {
    /// The user whose jobs they submit.
    package let user: String
    package let scopes: Set<TokenScope>
    /// Limits that override the service's.
    package let quota: UserQuota
    /// Id of their token; nil if no token was required.
    package let token: String?

    package init(user: String, scopes: Set<TokenScope>, quota: UserQuota = UserQuota()) {
        (self.user, self.scopes, self.quota, token) = (user, scopes, quota, nil)
    }

    /// User name for requests that name no user.
    package static let localUser = "local"
    /// The caller if no token is required: everything is allowed, and the user name is not verified.
    package static func trusted(_ user: String?) -> Caller {
        Caller(user: user ?? localUser, scopes: Set(TokenScope.allCases))
    }

    /// The owner of a token; nil if the token does not permit the claimed user name.
    ///
    /// - Parameters:
    ///   - token: the stored token
    ///   - user: the user name that the request claims; nil if there is none
    package init?(_ token: Token, claiming user: String?) {
        (scopes, quota, self.token) = (token.scopeSet, token.quota ?? UserQuota(), token.id)
        guard scopes.contains(.admin) || user == nil || user == token.user else { return nil }
        self.user = user ?? token.user
    }

    /// Whether the caller has a scope.
    package func has(_ scope: TokenScope) -> Bool {
        scopes.contains(scope) || scopes.contains(.admin)
            || (scope == .read && scopes.contains(.submit))
    }

    /// Whether the caller may see and change a user's jobs.
    package func owns(jobsOf owner: String) -> Bool { scopes.contains(.admin) || user == owner }

    /// Whether a text is a valid user name: 1 to 64 letters, digits or any of `-._`.
    package static func isName(_ name: String) -> Bool {
        (1...64).contains(name.utf8.count)
            && name.utf8.allSatisfy {
                (0x30...0x39).contains($0) || (0x41...0x5A).contains($0)
                    || (0x61...0x7A).contains($0) || [0x2D, 0x2E, 0x5F].contains($0)
            }
    }
}

/// The credentials of a request. Pure.
package enum Credentials {
    /// The token in an `Authorization` header: after `Bearer`, or as the password after `Basic`, whose user name is
    /// ignored.
    ///
    /// - Parameter header: value of the header
    /// - Returns: nil if it contains no token
    package static func token(inAuthorization header: String) -> String? {
        let parts = header.split(separator: " ", maxSplits: 1)
        guard parts.count == 2 else { return nil }
        let value = parts[1].trimmingCharacters(in: .whitespaces)
        switch parts[0].lowercased() {
        case "bearer": return value
        case "basic":
            guard let bytes = Data(base64Encoded: value) else { return nil }
            let pair = String(decoding: bytes, as: UTF8.self)
            return pair.firstIndex(of: ":").map { String(pair[pair.index(after: $0)...]) }
        default: return nil
        }
    }
}
