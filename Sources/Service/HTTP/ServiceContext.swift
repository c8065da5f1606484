import Hummingbird
import NIOCore

/// What is known of a request besides its own text.
struct ServiceContext: RequestContext, RemoteAddressRequestContext {
    var coreContext: CoreRequestContextStorage
    let remoteAddress: SocketAddress?
    /// Set by `AccessMiddleware`.
    var caller = Caller(user: "", scopes: [])

    init(source: ApplicationRequestContextSource) {
        coreContext = CoreRequestContextStorage(source: source)
        remoteAddress = source.channel.remoteAddress
    }

    /// - Throws: `APIError` unless the caller may do what needs a scope
    func require(_ scope: TokenScope) throws {
        guard caller.has(scope) else { throw APIError.missingScope(scope) }
    }
}

extension Exposure {
    /// What links to the service begin with, as the client reaches it.
    func base(of request: Request, _ context: ServiceContext) -> String {
        var scheme = hasTLS ? "https" : "http"
        if isProxy(context.remoteAddress?.ipAddress) {
            scheme = request.header("X-Forwarded-Proto") == "http" ? "http" : "https"
        }
        return "\(scheme)://\(request.head.authority ?? "localhost")"
    }
}
