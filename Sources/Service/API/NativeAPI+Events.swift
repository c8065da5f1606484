import Coordinator
import Engine
import Foundation
import HTTPTypes
import Hummingbird

extension NativeAPI {
    var eventOperations: [Operation] { [jobEvents, allEvents] }

    /// An event as it appears in a server-sent event stream.
    private static var eventSchema: Schema {
        .given(
            .object([
                "type": .string("object"), "required": .array([.string("event"), .string("data")]),
                "properties": .object([
                    "event": Schema.choice(EventHub.Kind.allCases.map(\.rawValue)).json,
                    "data": Schema.string.described("A JSON object."),
                    "id": Schema.string.json,
                ]),
            ])
        )
    }

    private static var streamAnswer: Operation.Answer {
        .init(
            status: 200,
            help:
                "Server-sent events: state {state}, progress {Progress}, phase {phase}, queue, deleted, alive, and with views=true views {Views} and workers {workers}. The first state is sent at once.",
            content: ("text/event-stream", eventSchema)
        )
    }

    private static let viewsParameter = Operation.Parameter(
        name: "views",
        place: .query,
        schema: .boolean,
        help:
            "Whether views and workers are among the events, a few times per second. Default: false."
    )

    private static func hasViews(_ request: Request) throws(APIError) -> Bool {
        switch request.uri.queryParameters["views"] {
        case nil, "false": return false
        case "true": return true
        default:
            throw APIError(.badRequest, .invalid, "'views' must be true or false", field: "views")
        }
    }

    private var jobEvents: Operation {
        Operation(
            method: .get,
            path: "/api/v1/jobs/{id}/events",
            name: "watchJob",
            summary: "Follows a job until it has finished.",
            parameters: [.job, Self.viewsParameter],
            answers: [Self.streamAnswer] + Operation.Answer.errors(400, 403, 404, 429)
        ) { request, context in
            let id = try Self.id(context)
            let hasViews = try Self.hasViews(request)
            // Subscribe before reading the job, so that no change is missed.
            let events = try desk.hub.events(of: id, hasViews: hasViews)
            let job = try await desk.job(id, for: context.caller)
            return EventWriter(desk: desk, caller: context.caller, hasViews: hasViews, job: job)
                .answer(events)
        }
    }

    private var allEvents: Operation {
        Operation(
            method: .get,
            path: "/api/v1/events",
            name: "watch",
            summary: "Follows the caller's jobs; with the scope admin, everybody's.",
            parameters: [Self.viewsParameter],
            answers: [Self.streamAnswer] + Operation.Answer.errors(400, 403, 429)
        ) { request, context in
            let hasViews = try Self.hasViews(request)
            let events = try desk.hub.events(of: nil, hasViews: hasViews)
            let sieve = OwnEvents(caller: context.caller, store: desk.store)
            return EventWriter(
                desk: desk,
                caller: context.caller,
                hasViews: hasViews,
                sieve: sieve
            ).answer(events)
        }
    }
}
