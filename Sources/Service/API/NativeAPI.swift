import Coordinator
import Engine
import Foundation
import HTTPTypes
import Hummingbird
import Sampling

/// The API of Tessera's own clients, below `/api/v1`.
struct NativeAPI: Sendable {
    let desk: FrontDesk
    let counters: HTTPCounters

    /// Every operation; routes and the document both follow from this list.
    var operations: [Operation] { jobOperations + workOperations + serviceOperations }

    /// The document that describes them.
    var document: JSON {
        OpenAPI.document(operations, components: Self.components, version: RenderSession.version)
    }

    private static var components: [String: JSON] {
        [
            "Job": JobView.shape.schema,
            "JobRequest": JobRequest.schema,
            "Submission": submissionSchema, "Priority": prioritySchema,
            "Settings": JobRequest.settingsSchema,
            "Progress": JobProgress.schema,
            "Worker": WorkerStatistics.shape.schema,
            "Error": .object([
                "type": .string("object"), "required": .array([.string("error")]),
                "properties": .object(["error": APIError.shape.schema]),
            ]),
        ]
    }

    // Reading requests.

    /// The JSON of a body.
    ///
    /// - Throws: `APIError` for another type of content or malformed JSON
    func body(_ request: Request) async throws -> JSON {
        // Other types could come from the forms of any web page.
        let type = request.headers[.contentType]?.prefix { $0 != ";" }.lowercased()
        guard type?.trimmingCharacters(in: .whitespaces) == "application/json" else {
            throw APIError(
                .unsupportedMediaType,
                .unsupportedMediaType,
                "the header Content-Type must be application/json"
            )
        }
        let limit = desk.limits.body
        if let text = request.headers[.contentLength], let length = Int(text), length > limit {
            throw tooLarge(length)
        }
        var bytes: [UInt8] = []
        for try await piece in request.body {
            guard bytes.count + piece.readableBytes <= limit else {
                throw tooLarge(bytes.count + piece.readableBytes)
            }
            bytes += piece.readableBytesView
        }
        let json: JSON
        do {
            json = try JSON(bytes, place: "the body")
        } catch {
            throw APIError(.badRequest, .invalid, "\(error)")
        }
        // Our reader accepts them, for files from Python.
        guard json.isFinite else {
            throw APIError(.badRequest, .invalid, "the body has a number that is NaN or infinite")
        }
        return json
    }

    private func tooLarge(_ found: Int) -> APIError {
        let limit = LimitExceeded("body", limit: desk.limits.body, found: found, .request)
        return APIError(.contentTooLarge, .tooLarge, "\(limit)", limit: limit)
    }

    /// Whose request it is.
    ///
    /// - Throws: `APIError` for a name that is too long or has other characters
    func user(_ request: Request) throws -> String {
        guard let name = request.header("Tessera-User") else { return "local" }
        let allowed = name.utf8.allSatisfy {
            (0x30...0x39).contains($0) || (0x41...0x5A).contains($0) || (0x61...0x7A).contains($0)
                || [0x2D, 0x2E, 0x5F].contains($0)
        }
        guard (1...64).contains(name.utf8.count), allowed else {
            throw APIError(
                .badRequest,
                .invalid,
                "the header Tessera-User must be 1 to 64 letters, digits or any of -._",
                field: "Tessera-User"
            )
        }
        return name
    }

    static let userParameter = Operation.Parameter(
        name: "Tessera-User",
        place: .header,
        schema: .given(
            .object([
                "type": .string("string"), "pattern": .string("^[0-9A-Za-z._-]{1,64}$"),
            ])
        ),
        help: "Who asks: users take turns. Default: local."
    )

    static func id(_ context: Operation.Context) throws -> String {
        try context.parameters.require("id")
    }
}

extension Request {
    /// The value of a header that HTTPTypes does not know.
    func header(_ name: String) -> String? {
        HTTPField.Name(name).flatMap { headers[$0] }
    }
}
