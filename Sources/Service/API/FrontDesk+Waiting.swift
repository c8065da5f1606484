import Engine
import Foundation

extension FrontDesk {
    /// Maximum size in bytes of a picture that is returned as base64.
    static let maxInline = 64 << 20

    /// Rejects a picture that is too large to be returned as base64.
    ///
    /// - Throws: `LimitExceeded`
    static func checkInline(width: Int, height: Int) throws(LimitExceeded) {
        let bytes = width * height * 3
        guard bytes <= maxInline else {
            throw LimitExceeded("inline-bytes", limit: maxInline, found: bytes, .request)
        }
    }

    /// Stores several jobs: either all of them or none.
    ///
    /// - Throws: the same errors as `submit`
    func submit(_ requests: [JobRequest], for caller: Caller) async throws -> [Job] {
        var jobs: [Job] = []
        do {
            for request in requests {
                jobs.append(try await submit(request, for: caller, priority: 0).job)
            }
        } catch {
            for job in jobs { _ = try? await change(job.id, .cancel, for: caller) }
            throw error
        }
        return jobs
    }

    /// Waits until a job has ended or the service stops.
    ///
    /// - Returns: the current job
    /// - Throws: `LimitExceeded` if too many clients are waiting
    func ended(_ job: Job) async throws -> Job {
        // Subscribe before reading the job, so that no change is missed.
        let events = try hub.events(of: job.id)
        var present = try await stored(job.id)
        if present.state.isFinished { return present }
        for await event in events where event.kind != .progress {
            present = try await stored(job.id)
            if present.state.isFinished { break }
        }
        return present
    }

    /// Waits until a job's picture is finished.
    ///
    /// - Throws: `APIError` if there is no picture
    func finished(_ job: Job) async throws -> Job {
        let job = try await ended(job)
        switch job.state {
        case .done: return job
        case .failed:
            throw APIError(
                .unprocessableContent,
                .invalid,
                "job \(job.id) failed: \(job.error ?? "")"
            )
        case .cancelled: throw APIError(.conflict, .conflict, "job \(job.id) was cancelled")
        case .queued, .running, .paused:
            // The client may have gone away, which ended the wait.
            try Task.checkCancellation()
            throw APIError(
                .serviceUnavailable,
                .unavailable,
                "the service is stopping; job \(job.id) continues after the next start"
            )
        }
    }

    /// The file of a finished picture as base64.
    func base64(of job: Job) async throws -> String {
        let path = folder.picture(of: job)
        return try await Blocking.run {
            try Data(contentsOf: URL(fileURLWithPath: path)).base64EncodedString()
        }
    }
}
