import Engine
import Foundation
import HTTPTypes
import Hummingbird
import Synchronization

/// Reads request bodies up to a size limit.
struct RequestBody: Sendable {
    /// Name of the limit, for errors.
    let limitName: String
    let limit: Int
    /// Limits how many bodies are read at a time; nil for no limit.
    var turns: Turns?

    /// Seconds after which a minimum rate in bytes per second is enforced, so that a slow client cannot hold a turn.
    private static let patience = 30.0
    private static let leastRate = 1000.0

    /// The complete body.
    ///
    /// - Throws: `APIError` if the body exceeds the limit, is shorter than announced, or arrives too slowly
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

    /// The next piece of a body. Any early end is due to the client or the network.
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

    /// Parses the body as JSON.
    ///
    /// - Throws: `APIError` for another content type or malformed JSON
    func json(_ request: Request) async throws -> JSON {
        // Forms on any web page could send other content types.
        guard Self.type(request) == "application/json" else {
            throw APIError(
                .unsupportedMediaType,
                .unsupportedMediaType,
                "the header Content-Type must be application/json"
            )
        }
        let bytes = try await bytes(request)
        // With pictures, the JSON has tens of megabytes.
        let json = try await Blocking.run { () throws -> JSON in
            do {
                return try JSON(bytes, place: "the body")
            } catch {
                throw APIError(.badRequest, .invalid, "\(error)")
            }
        }
        // Our parser accepts NaN and infinity, for files from Python.
        guard json.isFinite else {
            throw APIError(.badRequest, .invalid, "the body has a number that is NaN or infinite")
        }
        return json
    }

    /// Parses the body as a form.
    ///
    /// - Throws: `APIError` for another content type or a malformed form
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

    /// The content type, without parameters.
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

/// Limits how many operations of a kind may run at a time.
final class Turns: Sendable {
    private let name: String
    private let limit: Int
    private let taken = Mutex(0)

    /// - Parameters:
    ///   - name: name of the limit
    ///   - limit: maximum number
    init(_ name: String, _ limit: Int) { (self.name, self.limit) = (name, limit) }

    /// - Throws: `LimitExceeded` if the maximum is reached
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
