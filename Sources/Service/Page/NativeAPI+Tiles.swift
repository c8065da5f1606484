import Engine
import Foundation
import HTTPTypes
import Hummingbird
import Sampling

extension NativeAPI {
    var tileOperations: [Operation] { [preview, views, tiles, tile] }

    private static let picture = Operation.Answer(
        status: 200,
        help: "A JPEG.",
        content: ("image/jpeg", .given(.object([:])))
    )

    private var preview: Operation {
        Operation(
            method: .get,
            path: "/api/v1/jobs/{id}/preview",
            name: "getPreview",
            summary:
                "A small copy of a finished picture, at most \(PyramidPlan.side) pixels long, or a rough one of a picture in progress.",
            parameters: [.job],
            answers: [
                Self.picture,
                .init(status: 204, help: "The job has no picture yet.", content: nil),
            ] + Operation.Answer.errors(403, 404, 409, 422, 429, 503)
        ) { _, context in
            let job = try await desk.job(Self.id(context), for: context.caller)
            if !job.state.isFinished { return try await desk.preview(of: job) }
            return try await desk.tile(of: job, level: 0, row: 0, column: 0)
        }
    }

    private var views: Operation {
        Operation(
            method: .get,
            path: "/api/v1/jobs/{id}/views",
            name: "getViews",
            summary:
                "Where the views of a running job's present step lie, and which workers have them; at most \(PlacedViews.limit).",
            parameters: [.job],
            answers: [.json(200, .reference("Views"), "Empty lists for a job that is not running.")]
                + Operation.Answer.errors(403, 404)
        ) { _, context in
            let job = try await desk.job(Self.id(context), for: context.caller)
            return Response(json: desk.views(of: job.id).json)
        }
    }

    private var tiles: Operation {
        Operation(
            method: .get,
            path: "/api/v1/jobs/{id}/tiles",
            name: "getTiles",
            summary: "How a finished picture is cut into tiles, for looking at a part of it.",
            parameters: [.job],
            answers: [.json(200, .reference("Tiles"), "Its levels, the smallest first.")]
                + Operation.Answer.errors(403, 404, 409, 422, 429)
        ) { _, context in
            let job = try await desk.job(Self.id(context), for: context.caller)
            return Response(json: Tiles.shape.json(try await desk.tiles(of: job)))
        }
    }

    private var tile: Operation {
        let names = ["level", "row", "column"]
        return Operation(
            method: .get,
            path: "/api/v1/jobs/{id}/tiles/{level}/{row}/{column}",
            name: "getTile",
            summary: "A tile of a finished picture.",
            parameters: [.job]
                + names.map {
                    .init(name: $0, place: .path, schema: .integer, help: "From 0.")
                },
            answers: [Self.picture] + Operation.Answer.errors(400, 403, 404, 409, 422, 429, 503)
        ) { _, context in
            let place = try names.map { name in
                let text = try context.parameters.require(name)
                // Accept only one spelling per tile: not +0 or 00.
                guard let number = Int(text), "\(number)" == text else {
                    throw APIError(.badRequest, .invalid, "'\(name)' must be a number", field: name)
                }
                return number
            }
            let job = try await desk.job(Self.id(context), for: context.caller)
            return try await desk.tile(of: job, level: place[0], row: place[1], column: place[2])
        }
    }

    /// How a picture is cut into tiles.
    struct Tiles: Sendable {
        let plan: PyramidPlan
        let isReady: Bool
        let share: Double

        static let shape = Shape<Tiles>([
            .init("side", .integer, "Pixels of a tile's side.") { _ in .count(PyramidPlan.side) },
            .init("ready", .boolean, "Whether they are cut; for a large picture ask again.") {
                .bool($0.isReady)
            },
            .init("share", .number, "How much of the picture is cut, 0…1.") { .number($0.share) },
            .init(
                "levels",
                .array(.array(.integer)),
                "Width and height of each level, of which each is twice the one before; the last is the picture."
            ) {
                .array($0.plan.levels.map { .array([.count($0.width), .count($0.height)]) })
            },
        ])
    }
}
