import Engine
import Foundation
import HTTPTypes
import Hummingbird
import Synchronization

/// Reads bodies of requests, within a limit.
struct RequestBody: Sendable {
    /// The limit's name.
    let limitName: String
    let limit: Int
    /// Bodies that are read at once; nil for any number.
    var turns: Turns?

    /// Seconds after which a body must have come at a rate, in bytes per second: a client that drips holds a turn.
    private static let patience = 30.0
    private static let leastRate = 1000.0

    /// All bytes.
    ///
    /// - Throws: `APIError` when there are more than the limit allows, fewer than were announced, or they come too slowly
    func bytes(_ request: Request) async throws -> [UInt8] {
        let length = request.headers[.contentLength].flatMap { Int($0) }
        if let length, length > limit { throw tooLarge(length) }
        try turns?.begin()
        defer { turns?.end() }
        var bytes: [UInt8] = []
        var pieces = request.body.makeAsyncIterator()
        let start = ContinuousClock.now
        while let piece = try await Self.next(&pieces) {
            let seconds = (ContinuousClock.now - start) / .seconds(1)
            guard seconds < Self.patience || Double(bytes.count) > seconds * Self.leastRate else {
                throw APIError.tooSlow
            }
            guard bytes.count + piece.readableBytes <= limit else {
                throw tooLarge(bytes.count + piece.readableBytes)
            }
            bytes += piece.readableBytesView
        }
        guard length.map({ $0 == bytes.count }) ?? true else { throw APIError.endsEarly }
        return bytes
    }

    /// The next piece of a body. Whatever ends it before its end is the client's doing, or the network's.
    private static func next(
        _ pieces: inout Hummingbird.RequestBody.AsyncIterator
    ) async throws -> ByteBuffer? {
        do {
            return try await pieces.next()
        } catch is CancellationError {
            throw CancellationError()
        } catch {
            throw APIError.endsEarly
        }
    }

    /// The JSON of a body.
    ///
    /// - Throws: `APIError` for another type of content or malformed JSON
    func json(_ request: Request) async throws -> JSON {
        // Other types could come from the forms of any web page.
        guard Self.type(request) == "application/json" else {
            throw APIError(
                .unsupportedMediaType,
                .unsupportedMediaType,
                "the header Content-Type must be application/json"
            )
        }
        let bytes = try await bytes(request)
        // Tens of megabytes where pictures are in it.
        let json = try await Blocking.run { () throws -> JSON in
            do {
                return try JSON(bytes, place: "the body")
            } catch {
                throw APIError(.badRequest, .invalid, "\(error)")
            }
        }
        // Our reader accepts them, for files from Python.
        guard json.isFinite else {
            throw APIError(.badRequest, .invalid, "the body has a number that is NaN or infinite")
        }
        return json
    }

    /// The form of a body.
    ///
    /// - Throws: `APIError` for another type of content or a malformed form
    func form(_ request: Request) async throws -> MultipartForm {
        guard Self.type(request) == "multipart/form-data" else {
            throw APIError(
                .unsupportedMediaType,
                .unsupportedMediaType,
                "the header Content-Type must be multipart/form-data"
            )
        }
        let type = request.headers[.contentType] ?? ""
        let bytes = try await bytes(request)
        do {
            return try MultipartForm(bytes, type: type)
        } catch {
            throw APIError(.badRequest, .invalid, "\(error)")
        }
    }

    /// The type of content, without parameters.
    static func type(_ request: Request) -> String? {
        request.headers[.contentType]?.prefix { $0 != ";" }.lowercased()
            .trimmingCharacters(in: .whitespaces)
    }

    private func tooLarge(_ found: Int) -> APIError {
        let limit = LimitExceeded(limitName, limit: limit, found: found, .request)
        return APIError(.contentTooLarge, .tooLarge, "\(limit)", limit: limit)
    }
}

extension APIError {
    fileprivate static var tooSlow: APIError {
        APIError(
            .badRequest,
            .invalid,
            "the body comes too slowly: at least 1000 bytes a second are needed"
        )
    }

    fileprivate static var endsEarly: APIError {
        APIError(.badRequest, .invalid, "the body ends early, or is malformed")
    }
}

/// A number of things that may be done at once.
final class Turns: Sendable {
    private let name: String
    private let limit: Int
    private let taken = Mutex(0)

    /// - Parameters:
    ///   - name: of the limit
    ///   - limit: how many
    init(_ name: String, _ limit: Int) { (self.name, self.limit) = (name, limit) }

    /// - Throws: `LimitExceeded` when as many are being done
    func begin() throws(LimitExceeded) {
        let isFree = taken.withLock { taken in
            guard taken < limit else { return false }
            taken += 1
            return true
        }
        guard isFree else { throw LimitExceeded(name, limit: limit, found: limit + 1, .later) }
    }

    func end() { taken.withLock { $0 -= 1 } }
}
