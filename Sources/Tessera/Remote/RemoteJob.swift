import Coordinator
import Engine
import Foundation
import Service

/// A job as reported by a service: the parts that commands need. Pure.
package struct RemoteJob: Equatable, Sendable {
    package let id: String
    package let user: String
    package let state: JobState
    package let width: Int
    package let height: Int
    package let prompt: String
    package let format: JobRequest.Format
    /// Seconds since 1970.
    package let created: Double
    /// Why the job failed.
    package let error: String?
    package let progress: RemoteProgress?
    /// The complete JSON object.
    package let json: JSON

    /// - Returns: nil if the JSON is not a job
    package init?(_ json: JSON) {
        guard let object = json.object, let id = object["id"]?.string,
            let state = object["state"]?.string.flatMap(JobState.init(rawValue:))
        else { return nil }
        (self.id, self.state, self.json) = (id, state, json)
        user = object["user"]?.string ?? ""
        (width, height) = (object["width"]?.integer ?? 0, object["height"]?.integer ?? 0)
        let request = object["request"]?.object
        prompt = request?["prompt"]?.string ?? ""
        format = request?["format"]?.string.flatMap(JobRequest.Format.init(rawValue:)) ?? .png
        created = object["created"]?.number ?? 0
        error = object["error"]?.string
        progress = object["progress"].flatMap(RemoteProgress.init)
    }

    /// A row of a table.
    package var row: [String] {
        let line = prompt.split(whereSeparator: \.isWhitespace).joined(separator: " ")
        let done = progress.map { " \(Int(100 * $0.share)) %" } ?? ""
        return [
            id, state.rawValue + done, user, "\(width)x\(height)", Self.date(created),
            line.count > 40 ? "\(line.prefix(39))…" : line,
        ]
    }

    package static let heading = ["JOB", "STATE", "USER", "SIZE", "SUBMITTED", "PROMPT"]

    private static func date(_ seconds: Double) -> String {
        let format = DateFormatter()
        format.locale = Locale(identifier: "en_US_POSIX")
        format.dateFormat = "yyyy-MM-dd HH:mm"
        return format.string(from: Date(timeIntervalSince1970: seconds))
    }
}

/// Progress of a job as reported by a service. Pure.
package struct RemoteProgress: Equatable, Sendable {
    /// Fraction of all views of the picture that are done, 0…1.
    package let share: Double
    /// Details for the progress line, with the time left last if it is known.
    package let parts: [String]

    /// - Returns: nil if the JSON does not describe progress
    package init?(_ json: JSON) {
        guard let object = json.object, let stage = object["stage"]?.string,
            let share = object["share"]?.number
        else { return nil }
        func count(_ name: String) -> Int { object[name]?.integer ?? 0 }
        var parts: [String] = []
        if stage == "denoising" {
            parts = [
                "phase \(count("phase"))/\(count("phases"))",
                "step \(count("step"))/\(count("steps"))",
            ]
            if let rate = object["viewsPerSecond"]?.number {
                parts.append(String(format: "%.1f views/s", rate))
            }
            if let left = object["secondsLeft"]?.number {
                parts.append("\(PlanTable.duration(left)) left, then decoding")
            }
        } else {
            let tiles = count("allTiles")
            parts = [stage] + (tiles > 1 ? ["\(count("tiles"))/\(tiles) tiles"] : [])
        }
        (self.share, self.parts) = (share, parts)
    }
}

/// A job of a service ended without a picture.
struct RemoteJobEnded: Error, CustomStringConvertible {
    let job: RemoteJob

    var description: String {
        job.state == .failed
            ? "job \(job.id) failed: \(oneLine(job.error ?? "", limit: 1000))"
            : "job \(job.id) was cancelled"
    }
}

/// A job of a service has no picture yet.
struct RemoteJobUnfinished: Error, CustomStringConvertible {
    let job: RemoteJob

    var description: String {
        "job \(job.id) is \(job.state.rawValue): it has no picture yet. Use --wait, or try again later"
    }
}

extension ServiceClient {
    /// Sends a request whose answer only confirms success.
    ///
    /// - Throws: `ServiceClientError`
    func send(answered method: String, _ path: String, body: Body? = nil) throws {
        let answer = try send(method, path, body: body)
        let bytes = try answer.all()
        try check(answer, bytes)
    }

    /// - Throws: `ServiceClientError`
    func job(_ method: String, _ path: String, body: Body? = nil) throws -> RemoteJob {
        let json = try json(method, path, body: body)
        guard let job = RemoteJob(json) else { throw ServiceClientError.foreign("\(address)") }
        return job
    }
}
