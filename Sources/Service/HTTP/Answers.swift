import Coordinator
import Engine
import Foundation
import GRDB
import HTTPTypes
import Hummingbird

/// An error as returned by the API.
struct APIError: Error {
    let status: HTTPResponse.Status
    /// Machine-readable code.
    let code: Code
    /// Human-readable message of one line.
    let message: String
    /// The limit that was exceeded.
    var limit: LimitExceeded?
    /// The invalid field.
    var field: String?
    /// The allowed methods of the path, if the request used another one.
    var allow: String?

    enum Code: String, CaseIterable {
        case invalid
        case notFound
        case methodNotAllowed
        case unauthorized
        case conflict
        case limit
        case forbidden
        case unsupportedMediaType
        case tooLarge
        case unavailable
        case internalError
    }

    init(
        _ status: HTTPResponse.Status,
        _ code: Code,
        _ message: String,
        field: String? = nil,
        limit: LimitExceeded? = nil
    ) {
        (self.status, self.code, self.message) = (status, code, message)
        (self.field, self.limit) = (field, limit)
    }

    /// Converts any error.
    init(_ error: any Error) {
        switch error {
        case let error as APIError: self = error
        case let error as LimitExceeded:
            self.init(
                error.kind == .later ? .tooManyRequests : .unprocessableContent,
                .limit,
                "\(error)",
                limit: error
            )
        case let error as InputError where !error.isSystemLimit:
            self.init(
                .unprocessableContent,
                .invalid,
                APIWords.withoutFlags("\(error)"),
                field: APIWords.field(error.place)
            )
        case let error as DatabaseError where error.isOfDisk:
            self.init(.serviceUnavailable, .unavailable, "the service's disk is full or failing")
        case is OutputError:
            self.init(.serviceUnavailable, .unavailable, "the service's disk is full or failing")
        case let error as KeyReused: self.init(.conflict, .conflict, "\(error)")
        case let error as HTTPError where error.status == .contentTooLarge:
            self.init(.contentTooLarge, .tooLarge, "the request's body is larger than the limit")
        case let error as HTTPError where error.status == .notFound:
            self.init(.notFound, .notFound, "there is nothing at this path")
        case let error as HTTPError:
            self.init(error.status, .invalid, error.body ?? error.status.reasonPhrase)
        default:
            self.init(.internalServerError, .internalError, "the service failed; see its log")
        }
    }

    static let shape = Shape<APIError>([
        .init("code", .choice(Code.allCases.map(\.rawValue)), "For programs.") {
            .string($0.code.rawValue)
        },
        .init("message", .string, "For people, in one line.") { .string($0.message) },
        .init("field", .nullable(.string), "The field at fault.") { .optional($0.field) },
        .init("limit", .nullable(.string), "Name of the limit that forbids the request.") {
            .optional($0.limit?.name)
        },
        .init("maximum", .nullable(.integer), "That limit's value.") {
            .optional($0.limit?.limit)
        },
        .init("asked", .nullable(.integer), "What the request would make it.") {
            .optional($0.limit?.found)
        },
    ])

    /// Headers of the response, whatever the format of its body.
    var headers: [HTTPField.Name: String] {
        var headers: [HTTPField.Name: String] = [:]
        if limit?.kind == .later { headers[.retryAfter] = "5" }
        if let allow { headers[.allow] = allow }
        if status == .unauthorized {
            // Browsers and A1111's clients ask for a user name and password; the password is the token.
            headers[.wwwAuthenticate] = "Basic realm=\"tessera\", charset=\"UTF-8\""
        }
        return headers
    }

    var response: Response {
        var response = Response(
            json: .object(["error": Self.shape.json(self)]),
            status: status
        )
        for (name, value) in headers { response.headers[name] = value }
        return response
    }
}

extension Response {
    /// A response with JSON in one line.
    init(json: JSON, status: HTTPResponse.Status = .ok) {
        self.init(bytes: json.answer, type: "application/json", status: status)
    }

    init(text: String, type: String, status: HTTPResponse.Status = .ok) {
        self.init(bytes: text.utf8, type: type, status: status)
    }

    init(bytes: some Collection<UInt8> & Sendable, type: String, status: HTTPResponse.Status = .ok)
    {
        self.init(
            status: status,
            headers: [.contentType: type, .cacheControl: "no-store"],
            body: ResponseBody(byteBuffer: ByteBuffer(bytes: bytes))
        )
    }

    /// A response that streams a file, because a picture may be larger than the memory.
    ///
    /// - Throws: `APIError` if the file cannot be opened
    init(file path: String, type: String) throws {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW)
        guard descriptor >= 0 else {
            throw APIError(.notFound, .notFound, "the file is no longer there")
        }
        let handle = FileHandle(fileDescriptor: descriptor, closeOnDealloc: true)
        var status = stat()
        guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
            throw APIError(.notFound, .notFound, "it is not a file")
        }
        let size = Int(status.st_size)
        self.init(
            status: .ok,
            headers: [.contentType: type, .xContentTypeOptions: "nosniff"],
            body: ResponseBody(contentLength: size) { writer in
                var left = size
                while left > 0 {
                    let count = min(left, 256 << 10)
                    let piece = try await Blocking.run { try handle.read(upToCount: count) }
                    guard let piece, !piece.isEmpty else { throw APIError.truncated }
                    left -= piece.count
                    try await writer.write(ByteBuffer(bytes: piece))
                }
                try await writer.finish(nil)
            }
        )
    }
}

extension APIError {
    fileprivate static var truncated: APIError {
        APIError(.internalServerError, .internalError, "a file became shorter")
    }
}

/// Runs blocking work outside Swift's cooperative thread pool.
enum Blocking {
    private static let queue = DispatchQueue(label: "service.blocking", attributes: .concurrent)

    static func run<Result: Sendable>(
        on queue: DispatchQueue = queue,
        _ body: @escaping @Sendable () throws -> Result
    ) async throws -> Result {
        try await withCheckedThrowingContinuation { continuation in
            queue.async { continuation.resume(with: Swift.Result { try body() }) }
        }
    }
}

extension DatabaseError {
    /// Whether the disk is at fault rather than the request.
    var isOfDisk: Bool {
        [.SQLITE_FULL, .SQLITE_IOERR, .SQLITE_READONLY, .SQLITE_CANTOPEN].contains(resultCode)
    }
}
