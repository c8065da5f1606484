import Engine
import Foundation
import HTTPTypes
import Hummingbird

extension NativeAPI {
    /// Priorities that a client may set.
    private static let priorities = -100...100

    /// Schema of a submission: a request and its priority.
    static var submissionSchema: JSON {
        guard case .object(var object) = JobRequest.schema,
            case .object(var properties)? = object["properties"]
        else { return .null }
        properties["priority"] = priorityField
        object["properties"] = .object(properties)
        return .object(object)
    }

    private static var priorityField: JSON {
        .object([
            "type": .string("integer"), "minimum": .count(priorities.lowerBound),
            "maximum": .count(priorities.upperBound),
            "description": .string(
                "Jobs of a higher priority go first. Default: 0; above it the scope admin is needed."
            ),
        ])
    }

    private static func priority(_ json: JSON?) throws(InputError) -> Int {
        guard let json, json != .null else { return 0 }
        guard let value = json.integer, priorities.contains(value) else {
            throw InputError(
                "priority",
                "its value cannot be read",
                fix: "Give a whole number from \(priorities.lowerBound) to \(priorities.upperBound)"
            )
        }
        return value
    }

    /// Parses a submission.
    private static func submission(_ json: JSON) throws(InputError) -> (JobRequest, Int) {
        guard case .object(var object) = json else { return (try JobRequest(json: json), 0) }
        let priority = try priority(object.removeValue(forKey: "priority"))
        return (try JobRequest(json: .object(object)), priority)
    }

    var jobOperations: [Operation] {
        [
            submit, list, get, change(.cancel), change(.pause), change(.resume), delete,
            setPriority, move,
        ]
    }

    private var submit: Operation {
        Operation(
            method: .post,
            path: "/api/v1/jobs",
            name: "submitJob",
            summary: "Queues a picture.",
            parameters: [
                Self.userParameter,
                .init(
                    name: "Idempotency-Key",
                    place: .header,
                    schema: .given(
                        .object([
                            "type": .string("string"), "pattern": .string("^[!-~]{1,200}$"),
                        ])
                    ),
                    help: "A key of your own: the same submission with the same key is queued once."
                ),
            ],
            body: "Submission",
            answers: [
                .json(201, .reference("Job"), "The job is queued, and on disk."),
                .json(200, .reference("Job"), "This submission was queued before."),
            ] + Operation.Answer.errors(400, 403, 409, 413, 415, 422, 429)
        ) { request, context in
            let key = request.header("Idempotency-Key")
            if let key, key.wholeMatch(of: /[!-~]{1,200}/) == nil {
                throw APIError(
                    .badRequest,
                    .invalid,
                    "the header Idempotency-Key must have 1 to 200 letters, digits or signs, without spaces",
                    field: "Idempotency-Key"
                )
            }
            let (picture, priority) = try Self.submission(try await desk.bodies.json(request))
            let (job, isNew) = try await desk.submit(
                picture,
                for: context.caller,
                priority: priority,
                key: key
            )
            if isNew {
                // The client's trace id, if any (W3C Trace Context), connects its log to ours.
                let trace = request.header("traceparent").flatMap(TraceParent.id)
                context.logger.info(
                    "job queued",
                    metadata: ["job": "\(job.id)", "user": "\(job.user)"].merging(
                        trace.map { ["trace": "\($0)"] } ?? [:]
                    ) { $1 }
                )
            }
            var response = answer(job, isNew ? .created : .ok)
            response.headers[.location] = "/api/v1/jobs/\(job.id)"
            return response
        }
    }

    private func answer(_ job: Job, _ status: HTTPResponse.Status = .ok) -> Response {
        Response(json: JobView.shape.json(desk.view(job)), status: status)
    }

    private var list: Operation {
        let schema = Schema.given(
            .object([
                "type": .string("object"),
                "required": .array([.string("jobs"), .string("next")]),
                "properties": .object([
                    "jobs": Schema.array(.reference("Job")).json,
                    "next": Schema.nullable(.integer).described(
                        "The parameter 'before' of the next page; null at the end."
                    ),
                ]),
            ])
        )
        return Operation(
            method: .get,
            path: "/api/v1/jobs",
            name: "listJobs",
            summary: "Lists jobs, the newest first.",
            parameters: [
                .init(
                    name: "state",
                    place: .query,
                    schema: .choice(JobState.allCases.map(\.rawValue)),
                    help: "Jobs in this state only."
                ),
                .init(
                    name: "user",
                    place: .query,
                    schema: .string,
                    help: "Jobs of this user only."
                ),
                .init(
                    name: "before",
                    place: .query,
                    schema: .integer,
                    help: "Jobs with smaller numbers only."
                ),
                .init(
                    name: "limit",
                    place: .query,
                    schema: .given(
                        .object([
                            "type": .string("integer"), "minimum": .number(1),
                            "maximum": .number(1000),
                        ])
                    ),
                    help: "Length of a page. Default: 100."
                ),
            ],
            answers: [.json(200, schema, "Jobs.")] + Operation.Answer.errors(400, 403)
        ) { request, context in
            let query = request.uri.queryParameters
            func malformed(_ name: String, _ form: String) -> APIError {
                APIError(.badRequest, .invalid, "'\(name)' must be \(form)", field: name)
            }
            let state = try query["state"].map { text in
                guard let state = JobState(rawValue: String(text)) else {
                    throw malformed(
                        "state",
                        "one of " + JobState.allCases.map(\.rawValue).joined(separator: ", ")
                    )
                }
                return state
            }
            let before = try query["before"].map { text in
                guard let number = Int64(text) else { throw malformed("before", "a number") }
                return number
            }
            let limit = try query["limit"].map { text in
                guard let number = Int(text), (1...1000).contains(number) else {
                    throw malformed("limit", "a number from 1 to 1000")
                }
                return number
            }
            let named = query["user"].map { String($0) }
            let caller = context.caller
            guard caller.has(.admin) || named == nil || named == caller.user else {
                throw APIError.missingScope(.admin)
            }
            let user = caller.has(.admin) ? named : caller.user
            let count = limit ?? 100
            let jobs = try await Blocking.run { [store = desk.store] in
                try store.jobs(of: user, state: state, before: before, limit: count)
            }
            return Response(
                json: .object([
                    "jobs": .array(jobs.map { JobView.shape.json(desk.view($0)) }),
                    "next": jobs.count == count
                        ? .optional(jobs.last?.number.map { Int($0) }) : .null,
                ])
            )
        }
    }

    private var get: Operation {
        Operation(
            method: .get,
            path: "/api/v1/jobs/{id}",
            name: "getJob",
            summary: "One job, with its progress while it is running.",
            parameters: [.job],
            answers: [.json(200, .reference("Job"), "The job.")]
                + Operation.Answer.errors(403, 404)
        ) { _, context in
            answer(try await desk.job(Self.id(context), for: context.caller))
        }
    }

    private func change(_ change: JobRequestedChange) -> Operation {
        let summary =
            switch change {
            case .cancel: "Cancels a job; a running render is stopped, wherever it is."
            case .pause: "Pauses a job; its finished steps are kept."
            case .resume: "Puts a paused job back into the queue."
            }
        return Operation(
            method: .post,
            path: "/api/v1/jobs/{id}/\(change.rawValue)",
            name: "\(change.rawValue)Job",
            summary: summary,
            parameters: [.job],
            answers: [.json(200, .reference("Job"), "The job as it is now.")]
                + Operation.Answer.errors(403, 404, 409)
        ) { _, context in
            answer(try await desk.change(Self.id(context), change, for: context.caller))
        }
    }

    private var delete: Operation {
        Operation(
            method: .delete,
            path: "/api/v1/jobs/{id}",
            name: "deleteJob",
            summary: "Deletes a finished job and its picture.",
            parameters: [.job],
            answers: [.init(status: 204, help: "It is deleted.", content: nil)]
                + Operation.Answer.errors(403, 404, 409)
        ) { _, context in
            try await desk.delete(Self.id(context), for: context.caller)
            return Response(status: .noContent)
        }
    }

    private var setPriority: Operation {
        Operation(
            method: .patch,
            path: "/api/v1/jobs/{id}",
            name: "setPriority",
            summary: "Changes a job's priority.",
            parameters: [.job],
            body: "Priority",
            answers: [.json(200, .reference("Job"), "The job as it is now.")]
                + Operation.Answer.errors(400, 403, 404, 413, 415, 422)
        ) { request, context in
            let id = try Self.id(context)
            let json = try await desk.bodies.json(request)
            guard let object = json.object, Set(object.keys) == ["priority"],
                object["priority"] != .null
            else {
                throw InputError(
                    "the request",
                    "it must have the one field 'priority'",
                    fix: "Send {\"priority\": 1}"
                )
            }
            let priority = try Self.priority(object["priority"])
            return answer(try await desk.setPriority(id, priority, for: context.caller))
        }
    }

    static var prioritySchema: JSON {
        .object([
            "type": .string("object"), "required": .array([.string("priority")]),
            "additionalProperties": .bool(false),
            "properties": .object(["priority": priorityField]),
        ])
    }
}
