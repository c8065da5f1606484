import HTTPTypes
import Hummingbird

/// The methods that each path supports. Pure.
package struct KnownPaths: Equatable, Sendable {
    private struct Route: Equatable {
        let segments: [Substring]
        let method: String

        /// Whether the route matches a path; `{id}` matches any segment.
        func leads(to path: [Substring]) -> Bool {
            segments.count == path.count
                && zip(segments, path).allSatisfy { $0.hasPrefix("{") || $0 == $1 }
        }
    }

    private let routes: [Route]

    /// - Parameter routes: paths such as `/jobs/{id}` and their methods; routes that match everything below a path
    ///   (`**`) are ignored, because they do not tell which paths exist
    package init(_ routes: [(path: String, method: String)]) {
        self.routes = routes.filter { !$0.path.contains("*") }.map {
            Route(segments: $0.path.split(separator: "/"), method: $0.method)
        }
    }

    /// The methods of a path; empty if no route matches.
    package func methods(of path: String) -> [String] {
        let segments = path.split(separator: "/")
        return Set(routes.filter { $0.leads(to: segments) }.map(\.method)).sorted()
    }
}

/// Handles requests without a matching route: if the path exists, it only supports other methods. Must be added after
/// all routes, so that it sees no other requests.
struct MethodAnswers: RouterMiddleware {
    let known: KnownPaths

    init(_ routes: [Router<ServiceContext>.RouteDescription]) {
        known = KnownPaths(routes.map { ("\($0.path)", $0.method.rawValue) })
    }

    func handle(
        _ request: Request,
        context: ServiceContext,
        next: (Request, ServiceContext) async throws -> Response
    ) async throws -> Response {
        let methods = known.methods(of: request.uri.path)
        guard !methods.isEmpty else { return try await next(request, context) }
        let options = HTTPRequest.Method.options.rawValue
        let allow = (methods.filter { $0 != options } + [options]).joined(separator: ", ")
        if request.method == .options {
            return Response(status: .noContent, headers: [.allow: allow])
        }
        throw APIError.wrongMethod(request.method, allow: allow)
    }
}

extension APIError {
    static func wrongMethod(_ method: HTTPRequest.Method, allow: String) -> APIError {
        var error = APIError(
            .methodNotAllowed,
            .methodNotAllowed,
            "this path does not have the method \(method.rawValue.prefix(20)), but \(allow)"
        )
        error.allow = allow
        return error
    }
}
