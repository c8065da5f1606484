import CoreMetrics
import Engine
import Foundation
import HTTPTypes
import Hummingbird
import Logging
import NIOCore

/// Converts every error to JSON, counts responses, and adds headers common to all of them.
struct ErrorAnswers<Context: RequestContext>: RouterMiddleware {
    let counters: HTTPCounters

    func handle(
        _ request: Request,
        context: Context,
        next: (Request, Context) async throws -> Response
    ) async throws -> Response {
        let start = ContinuousClock.now
        var response: Response
        do {
            response = try await next(request, context)
        } catch {
            if error.meansThatTheClientLeft {
                counters.add(ClientGone.status.code)
                return Response(status: ClientGone.status)
            }
            let known = APIError(error)
            if known.code == .internalError {
                context.logger.error("request failed: \(oneLine("\(error)", limit: 1000))")
            }
            response = Self.answer(known, path: request.uri.path)
        }
        response.headers[.xContentTypeOptions] = "nosniff"
        counters.add(response.status.code)
        counters.add(ContinuousClock.now - start, route: context.endpointPath)
        return response
    }

    /// The error in the format of the API that the path belongs to.
    private static func answer(_ error: APIError, path: String) -> Response {
        let json: JSON
        if path.hasPrefix("/v1/") {
            json = .object(["error": OpenAIImages.error(error)])
        } else if path.hasPrefix(A1111API.path) {
            json = A1111API.error(error)
        } else {
            return error.response
        }
        var response = Response(json: json, status: error.status)
        for (name, value) in error.headers { response.headers[name] = value }
        return response
    }
}

/// The status that is counted if the client has gone before the response: not the service's fault.
enum ClientGone {
    /// The status code that nginx uses for this.
    static let status = HTTPResponse.Status(code: 499, reasonPhrase: "Client Closed Request")
}

extension Error {
    /// Whether a request ended because its client went away, or the service is stopping.
    fileprivate var meansThatTheClientLeft: Bool {
        self is CancellationError || self is ChannelError || self is IOError
    }
}

/// Counts responses and measures their latency.
package struct HTTPCounters: Sendable {
    package init() {}

    func add(_ status: Int) {
        Counter(label: "tessera_http_responses_total", dimensions: [("status", "\(status)")])
            .increment()
    }

    /// - Parameters:
    ///   - time: time until the response began
    ///   - route: path of the route with `{id}` as a placeholder, so that clients cannot create labels; nil if there is
    ///     none
    func add(_ time: Duration, route: String?) {
        CoreMetrics.Timer(
            label: "tessera_http_request_seconds",
            dimensions: [("route", route ?? "none")]
        ).recordNanoseconds(Int64((time / .nanoseconds(1)).rounded()))
    }
}

/// Rejects requests from the scripts of other sites' pages. Pure.
///
/// A browser lets any page send requests to this machine. Checking `Host` stops pages whose own name resolves to this
/// machine (DNS rebinding); checking `Origin` stops all others.
package enum BrowserGuard {
    /// - Parameters:
    ///   - host: the host that the client addressed, with or without a port
    ///   - origin: origin of the page whose script sent the request; nil for other programs
    ///   - isLoopback: whether only programs on this machine are served
    ///   - allowed: origins whose scripts may use the service
    /// - Returns: why the request is rejected; nil if it is accepted
    package static func refusal(
        host: String?,
        origin: String?,
        isLoopback: Bool,
        allowed: [String] = []
    ) -> String? {
        guard let host, !host.isEmpty else { return "the header Host is missing" }
        if isLoopback, !isLoopbackName(host) {
            return "the service answers to localhost only, not to '\(host.prefix(100))'"
        }
        guard let origin else { return nil }
        let own = ["http://\(host)", "https://\(host)"] + allowed
        return own.contains(origin.lowercased()) || own.contains(origin)
            ? nil : "requests of pages from '\(origin.prefix(100))' are not allowed"
    }

    /// Whether a host with an optional port refers to this machine.
    private static func isLoopbackName(_ host: String) -> Bool {
        guard let match = host.wholeMatch(of: /(\[[0-9A-Fa-f:.]+\]|[^:\/\\\[\]]+)(:[0-9]{1,5})?/)
        else { return false }
        let name = match.1.drop { $0 == "[" }.prefix { $0 != "]" }
        if ["localhost", "::1"].contains(name.lowercased()) { return true }
        let parts = name.split(separator: ".", omittingEmptySubsequences: false)
        return parts.count == 4 && parts[0] == "127" && parts.allSatisfy { UInt8($0) != nil }
    }
}

struct BrowserGuardMiddleware<Context: RequestContext>: RouterMiddleware {
    let exposure: Exposure

    func handle(
        _ request: Request,
        context: Context,
        next: (Request, Context) async throws -> Response
    ) async throws -> Response {
        let refusal = BrowserGuard.refusal(
            host: request.head.authority,
            origin: request.headers[.origin],
            isLoopback: !exposure.isPublic,
            allowed: exposure.origins
        )
        if let refusal { throw APIError(.forbidden, .forbidden, refusal) }
        return try await next(request, context)
    }
}
