import Engine
import Foundation
import HTTPTypes
import Hummingbird

extension NativeAPI {
    /// Moves a job among its user's waiting jobs.
    var move: Operation {
        Operation(
            method: .post,
            path: "/api/v1/jobs/{id}/move",
            name: "moveJob",
            summary:
                "Puts a waiting job before another one of the same user and priority, or last.",
            parameters: [.job],
            body: "Move",
            answers: [.json(200, .reference("Job"), "The job as it is now.")]
                + Operation.Answer.errors(400, 403, 404, 409, 413, 415, 422)
        ) { request, context in
            let id = try Self.id(context)
            let target = try Self.target(try await desk.bodies.json(request))
            let job = try await desk.move(id, before: target, for: context.caller)
            return Response(json: JobView.shape.json(desk.view(job)))
        }
    }

    static var moveSchema: JSON {
        .object([
            "type": .string("object"), "required": .array([.string("before")]),
            "additionalProperties": .bool(false),
            "properties": .object([
                "before": Schema.nullable(.string).described(
                    "Id of the job that it goes before; null puts it last."
                )
            ]),
        ])
    }

    private static func target(_ json: JSON) throws(InputError) -> String? {
        switch json.object {
        case let object? where Set(object.keys) == ["before"] && object["before"] == .null:
            return nil
        case let object? where Set(object.keys) == ["before"]:
            if let id = object["before"]?.string { return id }
            fallthrough
        default:
            throw InputError(
                "the request",
                "it must have the one field 'before', an id or null",
                fix: "Send {\"before\": null} to put the job last"
            )
        }
    }
}

extension FrontDesk {
    /// Moves a waiting job before another one, or to the end.
    ///
    /// - Throws: `APIError` for an unknown job, or if the two are not waiting together
    func move(_ id: String, before target: String?, for caller: Caller) async throws -> Job {
        _ = try await job(id, for: caller)
        let moved = try await Blocking.run { [store] in try store.move(id, before: target) }
        guard let moved else {
            throw APIError(
                .conflict,
                .conflict,
                "job \(id) cannot be moved there: both jobs must wait, and have the same user and priority"
            )
        }
        hub.publish(.queue, job: id, .object([:]))
        runner.wake()
        return moved
    }
}
