import Engine
import Foundation
import HTTPTypes
import Hummingbird

extension FrontDesk {
    private func check(isDone job: Job) throws {
        guard job.state != .done else { return }
        throw APIError(
            .conflict,
            .conflict,
            "job \(job.id) has no picture: it is \(job.state.rawValue)"
        )
    }

    func tiles(of job: Job) async throws -> NativeAPI.Tiles {
        try check(isDone: job)
        let isReady = try await pyramids.prepare(job)
        return .init(
            plan: PyramidPlan(width: job.width, height: job.height),
            isReady: isReady,
            share: isReady ? 1 : pyramids.share(of: job)
        )
    }

    func tile(of job: Job, level: Int, row: Int, column: Int) async throws -> Response {
        try check(isDone: job)
        guard let path = pyramids.file(of: job, level: level, row: row, column: column) else {
            throw APIError(.notFound, .notFound, "the picture has no such tile")
        }
        guard try await pyramids.prepare(job) else {
            throw APIError(
                .serviceUnavailable,
                .unavailable,
                "the picture is being cut into tiles; try again in a few seconds"
            )
        }
        var response = try await Blocking.run { try Response(file: path, type: "image/jpeg") }
        // The picture of a job never changes, but only its owner's browser may cache it.
        response.headers[.cacheControl] = "private, max-age=86400, immutable"
        return response
    }

    /// The current estimate of a picture in progress; a response without content if there is none.
    func preview(of job: Job) async throws -> Response {
        guard job.state == .running else { return Response(status: .noContent) }
        let path = "\(folder.folder(of: job))/preview.jpeg"
        return try await Blocking.run { [previews = runner.previews] in
            guard try previews.write(job.id, to: path) else { return Response(status: .noContent) }
            var response = try Response(file: path, type: "image/jpeg")
            response.headers[.cacheControl] = "no-store"
            return response
        }
    }

    /// The current estimate of a picture in progress, a PNG as base64; nil if there is none.
    func estimate(of id: String) async throws -> String? {
        guard let job = try? await stored(id), job.state == .running else { return nil }
        let path = "\(folder.folder(of: job))/preview.png"
        return try await Blocking.run { [previews = runner.previews] in
            guard try previews.write(id, to: path) else { return nil }
            return try Data(contentsOf: URL(fileURLWithPath: path)).base64EncodedString()
        }
    }

    /// Cuts pictures into tiles as their jobs end, so that a large one is ready when somebody opens it. Returns when
    /// the service stops.
    func cutFinishedPictures() async {
        guard let events = try? hub.events(of: nil, isClient: false) else { return }
        for await event in events where event.kind == .state {
            guard event.data.object?["state"]?.string == JobState.done.rawValue, let id = event.job,
                let job = try? await stored(id)
            else { continue }
            // If a picture cannot be cut, the error is reported to whoever requests it.
            guard (try? await pyramids.prepare(job)) == true,
                let small = pyramids.file(of: job, level: 0, row: 0, column: 0)
            else { continue }
            try? await Blocking.run { [folder, previews = runner.previews] in
                previews.learn(id, from: small)
                for ending in ["jpeg", "png"] {
                    unlink("\(folder.folder(of: job))/preview.\(ending)")
                }
            }
        }
    }
}
