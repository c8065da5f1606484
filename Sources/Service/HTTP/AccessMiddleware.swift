import Engine
import Foundation
import HTTPTypes
import Hummingbird

/// Authenticates the sender of a request, and rejects those without access.
struct AccessMiddleware: RouterMiddleware {
    let store: JobStore
    let exposure: Exposure
    let rates: RequestRates

    /// Whether a path requires no token: health probes, which reveal nothing about jobs; links to pictures, which
    /// cannot be guessed; and the page that asks for the token.
    private static func isOpen(_ path: String) -> Bool {
        ["/healthz", "/readyz"].contains(path) || PageFiles.isPage(path)
            || path.hasPrefix("\(OpenAIImages.linkPath)/")
    }

    func handle(
        _ request: Request,
        context: ServiceContext,
        next: (Request, ServiceContext) async throws -> Response
    ) async throws -> Response {
        let peer = context.remoteAddress?.ipAddress
        if let refusal = exposure.refusal(from: peer) {
            throw APIError(.forbidden, .forbidden, refusal)
        }
        var context = context
        if Self.isOpen(request.uri.path) {
            try rates.count(address(request, peer))
            return try await next(request, context)
        }
        let claim = request.header("Tessera-User")
        if let claim, !Caller.isName(claim) {
            throw APIError(
                .badRequest,
                .invalid,
                "the header Tessera-User must be 1 to 64 letters, digits or any of -._",
                field: "Tessera-User"
            )
        }
        let text = request.headers[.authorization].flatMap(Credentials.token(inAuthorization:))
        let token = try await Blocking.run { [store] () throws -> Token? in
            guard let text else { return nil }
            return try store.token(text, now: Date().timeIntervalSince1970)
        }
        try rates.count(token?.id ?? address(request, peer))
        if let token {
            guard let caller = Caller(token, claiming: claim) else {
                throw APIError(
                    .forbidden,
                    .forbidden,
                    "the token is \(token.user)'s; only one with the scope admin may act as another user"
                )
            }
            context.caller = caller
        } else {
            let isNeeded = try await Blocking.run { [store, exposure] in
                try exposure.isPublic || store.hasTokens()
            }
            guard !isNeeded else { throw APIError.noToken(isWrong: text != nil) }
            context.caller = .trusted(claim)
        }
        return try await next(request, context)
    }

    /// Address of the client; behind a proxy, the one that the proxy reports.
    private func address(_ request: Request, _ peer: String?) -> String {
        guard exposure.isProxy(peer), let list = request.header("X-Forwarded-For"),
            let client = list.split(separator: ",").last
        else { return peer ?? "" }
        return client.trimmingCharacters(in: .whitespaces)
    }
}

extension APIError {
    static func noToken(isWrong: Bool) -> APIError {
        APIError(
            .unauthorized,
            .unauthorized,
            isWrong
                ? "the token is unknown or has expired"
                : "a token is needed: send it in the header Authorization, as 'Bearer TOKEN'"
        )
    }

    static func missingScope(_ scope: TokenScope) -> APIError {
        APIError(.forbidden, .forbidden, "this needs a token with the scope '\(scope.rawValue)'")
    }
}

/// Allows scripts of listed origins to use the service (CORS).
struct OriginMiddleware: RouterMiddleware {
    let exposure: Exposure

    func handle(
        _ request: Request,
        context: ServiceContext,
        next: (Request, ServiceContext) async throws -> Response
    ) async throws -> Response {
        guard let origin = request.headers[.origin], exposure.origins.contains(origin) else {
            return try await next(request, context)
        }
        var response: Response
        if request.method == .options,
            request.headers[.accessControlRequestMethod] != nil
        {
            response = Response(status: .noContent)
            response.headers[.accessControlAllowMethods] = "GET, POST, PATCH, DELETE"
            response.headers[.accessControlAllowHeaders] =
                "Authorization, Content-Type, Idempotency-Key, Tessera-User"
            response.headers[.accessControlMaxAge] = "600"
        } else {
            response = try await next(request, context)
        }
        response.headers[.accessControlAllowOrigin] = origin
        response.headers[.vary] = "Origin"
        return response
    }
}
