import Engine
import HTTPTypes
import Hummingbird

/// One operation of the API: its route and its documentation.
struct Operation: Sendable {
    typealias Context = ServiceContext

    struct Parameter: Sendable {
        enum Place: String {
            case path
            case query
            case header
        }

        let name: String
        let place: Place
        let schema: Schema
        let help: String
    }

    struct Answer: Sendable {
        let status: Int
        let help: String
        /// Content type and schema; nil for a response without a body.
        let content: (type: String, schema: Schema)?
    }

    let method: HTTPRequest.Method
    /// Path with parameters written as `{id}`.
    let path: String
    let name: String
    let summary: String
    var parameters: [Parameter] = []
    /// The scope that a token needs; nil if no token is required.
    let scope: TokenScope?
    /// Name of the schema component for the JSON body.
    var body: String?
    /// Content types of a body that is a file.
    var upload: [String] = []
    let answers: [Answer]
    let handler: @Sendable (Request, Context) async throws -> Response

    init(
        method: HTTPRequest.Method,
        path: String,
        name: String,
        summary: String,
        scope: TokenScope? = nil,
        isOpen: Bool = false,
        parameters: [Parameter] = [],
        body: String? = nil,
        upload: [String] = [],
        answers: [Answer],
        handler: @escaping @Sendable (Request, Context) async throws -> Response
    ) {
        (self.method, self.path, self.name) = (method, path, name)
        (self.summary, self.parameters) = (summary, parameters)
        // By default, reading requires a lower scope than other methods.
        self.scope = isOpen ? nil : scope ?? (method == .get ? .read : .submit)
        (self.body, self.upload) = (body, upload)
        self.answers =
            answers + (self.scope == nil ? [] : Answer.errors(401))
            + Answer.errors(429)
        self.handler = handler
    }

    /// The path in the router's syntax.
    var route: String { path.replacing("{", with: ":").replacing("}", with: "") }

    /// The operation in OpenAPI's format.
    var json: JSON {
        var object: [String: JSON] = [
            "operationId": .string(name),
            "summary": .string(summary),
            "responses": .object(
                Dictionary(
                    answers.map { ("\($0.status)", $0.json) },
                    uniquingKeysWith: { first, _ in first }
                )
            ),
        ]
        if !parameters.isEmpty { object["parameters"] = .array(parameters.map(\.json)) }
        if let body {
            object["requestBody"] = .object([
                "required": .bool(true),
                "content": .object([
                    "application/json": .object(["schema": Schema.reference(body).json])
                ]),
            ])
        }
        if !upload.isEmpty {
            object["requestBody"] = .object([
                "required": .bool(true),
                "content": .object(
                    Dictionary(uniqueKeysWithValues: upload.map { ($0, JSON.object([:])) })
                ),
            ])
        }
        // An empty list means that no token is required.
        if scope == nil { object["security"] = .array([]) }
        return .object(object)
    }
}

extension Operation.Parameter {
    var json: JSON {
        .object([
            "name": .string(name), "in": .string(place.rawValue),
            "required": .bool(place == .path), "schema": schema.json,
            "description": .string(help),
        ])
    }

    static let job = Self(
        name: "id",
        place: .path,
        schema: .given(
            .object(["type": .string("string"), "pattern": .string("^[0-9a-z]{20}$")])
        ),
        help: "The job's id."
    )
}

extension Operation.Answer {
    var json: JSON {
        var object: [String: JSON] = ["description": .string(help)]
        if let content {
            object["content"] = .object([
                content.type: .object(["schema": content.schema.json])
            ])
        }
        return .object(object)
    }

    static func json(_ status: Int = 200, _ schema: Schema, _ help: String) -> Self {
        Self(status: status, help: help, content: ("application/json", schema))
    }

    /// Errors in the format of this API.
    static func errors(_ statuses: Int...) -> [Self] {
        statuses.map { .json($0, .reference("Error"), meanings[$0] ?? "An error.") }
    }

    private static let meanings = [
        400: "The request is malformed.",
        401: "A token is needed, or the one that was sent is not valid.",
        403: "The request is not allowed from there, or with this token.",
        404: "There is no such job, or it has no picture.",
        409: "The job's state, or an idempotency key, does not allow it.",
        413: "The body is too large.", 415: "The content type is not supported.",
        422: "A field or a limit does not allow it; the message says which.",
        429: "A limit does not allow it now; try again later.",
        503: "The service is not ready.",
    ]
}

/// The OpenAPI document, generated from the operations.
enum OpenAPI {
    static func document(
        _ operations: [Operation],
        components: [String: JSON],
        version: String
    ) -> JSON {
        var paths: [String: JSON] = [:]
        for operation in operations {
            var item = paths[operation.path]?.object ?? [:]
            item[operation.method.rawValue.lowercased()] = operation.json
            paths[operation.path] = .object(item)
        }
        return .object([
            "openapi": .string("3.1.0"),
            "info": .object([
                "title": .string("Tessera"),
                "version": .string(version),
                "description": .string("Renders pictures on the workers of a cluster."),
            ]),
            "paths": .object(paths),
            "components": .object([
                "schemas": .object(components),
                "securitySchemes": .object([
                    "token": .object(["type": .string("http"), "scheme": .string("bearer")])
                ]),
            ]),
            // The empty second entry makes the token optional: without any tokens, none is required.
            "security": .array([.object(["token": .array([])]), .object([:])]),
        ])
    }
}
