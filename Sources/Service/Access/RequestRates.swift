import Coordinator
import Synchronization

/// Limits the request rate of each caller.
final class RequestRates: Sendable {
    private let perSecond: Int
    private let limits = Mutex<[String: RateLimit]>([:])
    private let start = ContinuousClock.now

    /// Maximum number of callers that are remembered; beyond it, all start over with a full bucket.
    private static let maxCallers = 10_000

    /// - Parameter perSecond: average requests per second of one caller; bursts may be twice as large
    init(perSecond: Int) { self.perSecond = perSecond }

    /// Counts a request.
    ///
    /// - Parameter caller: id of the token, or the address
    /// - Throws: `LimitExceeded` if there are too many requests
    func count(_ caller: String) throws(LimitExceeded) {
        let now = ContinuousClock.now - start
        let isAdmitted = limits.withLock { limits in
            if limits[caller] == nil, limits.count >= Self.maxCallers { limits.removeAll() }
            return limits[caller, default: RateLimit(perSecond: Double(perSecond))]
                .admits(at: now)
        }
        guard isAdmitted else {
            throw LimitExceeded(
                "requests-per-second",
                limit: perSecond,
                found: perSecond + 1,
                .later
            )
        }
    }
}
