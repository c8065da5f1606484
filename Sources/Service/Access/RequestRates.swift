import Coordinator
import Synchronization

/// How many requests each caller sends.
final class RequestRates: Sendable {
    private let perSecond: Int
    private let limits = Mutex<[String: RateLimit]>([:])
    private let start = ContinuousClock.now

    /// Callers that are remembered; beyond that all start with a full bucket.
    private static let maxCallers = 10_000

    /// - Parameter perSecond: requests of one caller, on average; twice as many at once
    init(perSecond: Int) { self.perSecond = perSecond }

    /// Counts a request.
    ///
    /// - Parameter caller: the token's id, or the address
    /// - Throws: `LimitExceeded` when there are too many
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
