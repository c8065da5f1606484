import Coordinator
import Engine

/// What one client may ask for, and the whole service. Pure.
package struct ServiceLimits: Equatable, Sendable {
    /// Pixels of a picture.
    package var pixels = 16_384 * 16_384
    /// Sampling steps of a phase.
    package var steps = 1000
    /// UNet evaluations of a picture.
    package var evaluations = 20_000_000
    /// Jobs of one user that are not finished.
    package var jobsPerUser = 1000
    /// Pixels of one user's jobs that are not finished; nil for no limit.
    package var queuedPixelsPerUser: Int?
    /// Bytes of one user's finished pictures; nil for no limit.
    package var storedBytesPerUser: Int?
    /// Jobs of all users that are not finished.
    package var jobs = 20_000
    /// Bytes of a request's body.
    package var body = 1 << 20
    /// Bytes of a body with pictures in it.
    package var upload = 64 << 20
    /// Bodies with pictures that are read at once.
    package var uploads = 8
    /// Bytes of all pictures that clients have sent and that are kept.
    package var inputBytes = 16 << 30
    /// Pixels of a picture that a client sends.
    package var initPixels = PictureLimits.defaultPixels
    /// Requests of one caller, on average.
    package var requestsPerSecond = 500
    /// Event streams that are open at once.
    package var streams = 256
    /// Connections that are open at once.
    package var connections = 2048

    package init() {}

    /// By the names that refusals tell.
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

    /// Rejects a picture that is too large, before it is planned.
    package func check(width: Int, height: Int) throws(LimitExceeded) {
        // Sides are at most 65,536: the product fits.
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

    /// Rejects a job where the queue is full.
    ///
    /// - Parameters:
    ///   - own: the user's unfinished jobs
    ///   - all: those of all users
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

/// A request that a limit forbids.
package struct LimitExceeded: Error, Equatable, Sendable, CustomStringConvertible {
    /// Whether the same request may succeed later.
    package enum Kind: Sendable {
        case request
        case later
    }

    /// The limit's name, as its flag has it.
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
