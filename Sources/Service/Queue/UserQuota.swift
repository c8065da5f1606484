import Engine

/// Limits of one token that override the service's; nil keeps the service's limit. Pure.
package struct UserQuota: Codable, Equatable, Sendable {
    /// Maximum pixels of a picture.
    package var pixels: Int?
    /// Maximum sampling steps of a phase.
    package var steps: Int?
    /// Maximum UNet evaluations of a picture.
    package var evaluations: Int?
    /// Maximum unfinished jobs of the user.
    package var jobs: Int?
    /// Maximum total pixels of the user's unfinished jobs.
    package var queuedPixels: Int?
    /// Maximum bytes of the user's finished pictures.
    package var storedBytes: Int?

    package init() {}

    /// Names and values of the limits that are set, for lists.
    package var words: [String] {
        [
            ("pixels", pixels), ("steps", steps), ("evaluations", evaluations), ("jobs", jobs),
            ("queued-pixels", queuedPixels), ("stored-bytes", storedBytes),
        ].compactMap { name, value in value.map { "\(name) \($0)" } }
    }
}

extension ServiceLimits {
    /// The limits for the owner of a token.
    package func limits(for quota: UserQuota) -> ServiceLimits {
        var limits = self
        limits.pixels = quota.pixels ?? pixels
        limits.steps = quota.steps ?? steps
        limits.evaluations = quota.evaluations ?? evaluations
        limits.jobsPerUser = quota.jobs ?? jobsPerUser
        limits.queuedPixelsPerUser = quota.queuedPixels ?? queuedPixelsPerUser
        limits.storedBytesPerUser = quota.storedBytes ?? storedBytesPerUser
        return limits
    }

    /// Rejects a job that would make a user's queue too large.
    ///
    /// - Parameters:
    ///   - pixels: pixels of the job
    ///   - queued: total pixels of the user's unfinished jobs; evaluated only if there is a limit
    ///   - stored: bytes of the user's finished pictures; evaluated only if there is a limit
    /// - Throws: `LimitExceeded` naming the limit, and errors of `queued` and `stored`
    package func check(
        pixels: Int,
        queued: () throws -> Int,
        stored: () throws -> Int
    ) throws {
        if let most = queuedPixelsPerUser {
            let sum = try queued() + pixels
            guard sum <= most else {
                // The job may exceed the limit on its own.
                let kind: LimitExceeded.Kind = pixels > most ? .request : .later
                throw LimitExceeded("queued-pixels-per-user", limit: most, found: sum, kind)
            }
        }
        if let most = storedBytesPerUser {
            // The size of the new picture is unknown, so existing ones must be below the limit.
            let sum = try stored()
            guard sum < most else {
                throw LimitExceeded("stored-bytes-per-user", limit: most, found: sum, .later)
            }
        }
    }
}
