import Hummingbird
import NIOCore

/// What is known about a request besides its contents.
struct ServiceContext: RequestContext, RemoteAddressRequestContext {
    var coreContext: CoreRequestContextStorage
    let remoteAddress: SocketAddress?
    /// Set by `AccessMiddleware`.
    var caller = Caller(user: "", scopes: [])

    init(source: ApplicationRequestContextSource) {
        coreContext = CoreRequestContextStorage(source: source)
        remoteAddress = source.channel.remoteAddress
    }

    /// - Throws: `APIError` unless the caller has the scope
    func require(_ scope: TokenScope) throws {
        guard caller.has(scope) else { throw APIError.missingScope(scope) }
    }
}

extension Exposure {
    /// Base URL of links to the service, as the client reaches it.
    func base(of request: Request, _ context: ServiceContext) -> String {
        var scheme = hasTLS ? "https" : "http"
        if isProxy(context.remoteAddress?.ipAddress) {
            scheme = request.header("X-Forwarded-Proto") == "http" ? "http" : "https"
        }
        return "\(scheme)://\(request.head.authority ?? "localhost")"
    }
}
