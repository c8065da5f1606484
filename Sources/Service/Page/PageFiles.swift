import CPage
import Engine
import HTTPTypes
import Hummingbird

/// The web page that shows live progress: a few files built into the program. They load nothing from other servers.
package enum PageFiles {
    /// Path of its files, relative to the page itself, so that it also works behind a proxy's path prefix.
    static let path = "/page"

    package struct File: Sendable {
        package let name: String
        package let type: String
        package let bytes: [UInt8]
        /// Entity tag of the content, for browsers that have it cached.
        let tag: String
    }

    /// The files by name.
    package static let files: [String: File] = {
        var files: [String: File] = [:]
        var index = 0
        while let file = tessera_page_file_at(index)?.pointee {
            let bytes = Array(UnsafeBufferPointer(start: file.bytes, count: file.count))
            let name = String(cString: file.name)
            let hash = FileHash()
            hash.add(text: String(decoding: bytes, as: UTF8.self))
            files[name] = File(
                name: name,
                type: String(cString: file.type),
                bytes: bytes,
                tag: "\"\(hash.finish().prefix(32))\""
            )
            index += 1
        }
        return files
    }()

    /// The page's Content-Security-Policy: only its own scripts, styles and requests are allowed. Pictures that were
    /// fetched with a token are blobs.
    package static let policy =
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "
        + "connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"

    /// Whether a path belongs to the page, which requires no token: it contains no user data, and asks for a token
    /// itself.
    static func isPage(_ requested: String) -> Bool {
        requested == "/" || requested.hasPrefix("\(path)/")
    }

    static func addRoutes(to router: Router<ServiceContext>) {
        router.get("/") { request, _ in try answer("page.html", to: request) }
        router.get("\(path)/:name") { request, context in
            try answer(try context.parameters.require("name"), to: request)
        }
    }

    private static func answer(_ name: String, to request: Request) throws -> Response {
        guard let file = files[name] else {
            throw APIError(.notFound, .notFound, "there is nothing at this path")
        }
        var response =
            request.headers[.ifNoneMatch] == file.tag
            ? Response(status: .notModified)
            : Response(bytes: file.bytes, type: file.type)
        // Revalidated each time, but sent again only after the program was updated.
        response.headers[.cacheControl] = "no-cache"
        response.headers[.eTag] = file.tag
        response.headers[.contentSecurityPolicy] = policy
        if let referrer = HTTPField.Name("Referrer-Policy") {
            response.headers[referrer] = "no-referrer"
        }
        return response
    }
}
