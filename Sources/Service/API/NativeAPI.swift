import Coordinator
import Engine
import Foundation
import HTTPTypes
import Hummingbird
import Sampling

/// The API of Tessera's own clients, under `/api/v1`.
struct NativeAPI: Sendable {
    let desk: FrontDesk
    let counters: HTTPCounters

    /// All operations; the routes and the OpenAPI document are both generated from this list.
    var operations: [Operation] {
        jobOperations + workOperations + tileOperations + serviceOperations
    }

    /// The OpenAPI document for these operations.
    var document: JSON {
        OpenAPI.document(operations, components: Self.components, version: RenderSession.version)
    }

    private static var components: [String: JSON] {
        [
            "Job": JobView.shape.schema,
            "JobRequest": JobRequest.schema,
            "Submission": submissionSchema, "Priority": prioritySchema,
            "Move": moveSchema, "Tiles": Tiles.shape.schema,
            "Views": PlacedViews.schema,
            "Settings": JobRequest.settingsSchema,
            "Progress": JobProgress.schema,
            "Worker": WorkerStatistics.shape.schema,
            "LoRA": JobRequest.LoRA.schema,
            "StoredPicture": InputFolder.Stored.shape.schema,
            "Error": .object([
                "type": .string("object"), "required": .array([.string("error")]),
                "properties": .object(["error": APIError.shape.schema]),
            ]),
        ]
    }

    static let userParameter = Operation.Parameter(
        name: "Tessera-User",
        place: .header,
        schema: .given(
            .object([
                "type": .string("string"), "pattern": .string("^[0-9A-Za-z._-]{1,64}$"),
            ])
        ),
        help:
            "Who asks: users take turns. Default: the token's user, or local where none is needed."
    )

    static func id(_ context: Operation.Context) throws -> String {
        try context.parameters.require("id")
    }
}

extension Request {
    /// The value of a header that HTTPTypes has no name for.
    func header(_ name: String) -> String? {
        HTTPField.Name(name).flatMap { headers[$0] }
    }
}
