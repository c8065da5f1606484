import Coordinator
import Engine

/// Limits for a single client and for the whole service. Pure.
package struct ServiceLimits: Equatable, Sendable {
    /// Maximum pixels of a picture.
    package var pixels = 16_384 * 16_384
    /// Maximum sampling steps of a phase.
    package var steps = 1000
    /// Maximum UNet evaluations of a picture.
    package var evaluations = 20_000_000
    /// Maximum unfinished jobs of one user.
    package var jobsPerUser = 1000
    /// Maximum total pixels of one user's unfinished jobs; nil for no limit.
    package var queuedPixelsPerUser: Int?
    /// Maximum bytes of one user's finished pictures; nil for no limit.
    package var storedBytesPerUser: Int?
    /// Maximum unfinished jobs of all users.
    package var jobs = 20_000
    /// Maximum bytes of a request body.
    package var body = 1 << 20
    /// Maximum bytes of a request body with pictures.
    package var upload = 64 << 20
    /// Maximum number of bodies with pictures that are read at a time.
    package var uploads = 8
    /// Maximum bytes of all stored pictures that clients have sent.
    package var inputBytes = 16 << 30
    /// Maximum pixels of a picture that a client sends.
    package var initPixels = PictureLimits.defaultPixels
    /// Maximum average request rate of one caller.
    package var requestsPerSecond = 500
    /// Maximum number of open event streams.
    package var streams = 256
    /// Maximum number of open connections.
    package var connections = 2048

    package init() {}

    /// Values by the names used in error messages.
    package var values: [String: Int] {
        var values = [
            "pixels": pixels, "steps": steps, "evaluations": evaluations,
            "jobs-per-user": jobsPerUser, "jobs": jobs, "body": body, "upload": upload,
            "uploads": uploads, "init-pixels": initPixels, "streams": streams,
            "connections": connections, "requests-per-second": requestsPerSecond,
            "input-bytes": inputBytes,
        ]
        values["queued-pixels-per-user"] = queuedPixelsPerUser
        values["stored-bytes-per-user"] = storedBytesPerUser
        return values
    }

    /// Rejects a picture that is too large before it is planned.
    package func check(width: Int, height: Int) throws(LimitExceeded) {
        // Sides are at most 65,536, so the product does not overflow.
        guard width * height <= pixels else {
            throw LimitExceeded("pixels", limit: pixels, found: width * height, .request)
        }
    }

    /// Rejects a render that costs too much.
    package func check(steps: Int, evaluations: Int) throws(LimitExceeded) {
        guard steps <= self.steps else {
            throw LimitExceeded("steps", limit: self.steps, found: steps, .request)
        }
        guard evaluations <= self.evaluations else {
            throw LimitExceeded(
                "evaluations",
                limit: self.evaluations,
                found: evaluations,
                .request
            )
        }
    }

    /// Rejects a job if the queue is full.
    ///
    /// - Parameters:
    ///   - own: number of the user's unfinished jobs
    ///   - all: number of all users' unfinished jobs
    /// - Throws: `LimitExceeded` naming the limit
    package func check(own: Int, all: Int) throws(LimitExceeded) {
        guard own < jobsPerUser else {
            throw LimitExceeded("jobs-per-user", limit: jobsPerUser, found: own + 1, .later)
        }
        guard all < jobs else {
            throw LimitExceeded("jobs", limit: jobs, found: all + 1, .later)
        }
    }
}

/// A request that exceeds a limit.
package struct LimitExceeded: Error, Equatable, Sendable, CustomStringConvertible {
    /// Whether the same request may succeed later.
    package enum Kind: Sendable {
        case request
        case later
    }

    /// The limit's name, as in its flag.
    package let name: String
    package let limit: Int
    package let found: Int
    package let kind: Kind

    package init(_ name: String, limit: Int, found: Int, _ kind: Kind) {
        (self.name, self.limit, self.found, self.kind) = (name, limit, found, kind)
    }

    package var description: String {
        "the limit '\(name)' is \(limit), and this would make it \(found)"
            + (kind == .later ? ": try again later" : "")
    }
}
