import Engine

/// Limits of one token, in place of the service's own; nil leaves those. Pure.
package struct UserQuota: Codable, Equatable, Sendable {
    /// Pixels of a picture.
    package var pixels: Int?
    /// Sampling steps of a phase.
    package var steps: Int?
    /// UNet evaluations of a picture.
    package var evaluations: Int?
    /// Jobs of the user that are not finished.
    package var jobs: Int?
    /// Pixels of the user's jobs that are not finished.
    package var queuedPixels: Int?
    /// Bytes of the user's finished pictures.
    package var storedBytes: Int?

    package init() {}

    /// Names and values of those that are set, for lists.
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
    ///   - pixels: of the job
    ///   - queued: pixels of the user's unfinished jobs; asked only where there is a limit
    ///   - stored: bytes of the user's finished pictures; asked only where there is a limit
    /// - Throws: `LimitExceeded` naming the limit, and what `queued` and `stored` throw
    package func check(
        pixels: Int,
        queued: () throws -> Int,
        stored: () throws -> Int
    ) throws {
        if let most = queuedPixelsPerUser {
            let sum = try queued() + pixels
            guard sum <= most else {
                // Alone it may be too large already.
                let kind: LimitExceeded.Kind = pixels > most ? .request : .later
                throw LimitExceeded("queued-pixels-per-user", limit: most, found: sum, kind)
            }
        }
        if let most = storedBytesPerUser {
            // How large the picture will be nobody knows; what is there must leave room.
            let sum = try stored()
            guard sum < most else {
                throw LimitExceeded("stored-bytes-per-user", limit: most, found: sum, .later)
            }
        }
    }
}
